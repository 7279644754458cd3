/**
 * ONNX Runtime's C API, as far as we need it, from the library that onnxruntime-node brings. That package's own
 * binding takes no operators of ours.
 *
 * The API is a table of functions whose order never changes (`OrtApi` in `onnxruntime_c_api.h`); a library gives
 * every version of it up to its own.
 *
 * @module
 */

import { addressOf } from "./address.ts";

/** Version of the table: 1.22's has all that we call. */
const VERSION = 22;

const STATUS = "pointer";
const OUT = "buffer";

/** Functions by their place in the table. */
const FUNCTIONS = {
  createStatus: [0, ["i32", "buffer"], STATUS],
  getErrorMessage: [2, ["pointer"], "pointer"],
  createEnv: [3, ["i32", "buffer", OUT], STATUS],
  createSession: [7, ["pointer", "buffer", "pointer", OUT], STATUS],
  createSessionFromArray: [8, [
    "pointer",
    "buffer",
    "usize",
    "pointer",
    OUT,
  ], STATUS],
  run: [9, [
    "pointer",
    "pointer",
    "buffer",
    "buffer",
    "usize",
    "buffer",
    "usize",
    OUT,
  ], STATUS],
  createSessionOptions: [10, [OUT], STATUS],
  setLogLevel: [22, ["pointer", "i32"], STATUS],
  setThreads: [24, ["pointer", "i32"], STATUS],
  createDomain: [26, ["buffer", OUT], STATUS],
  addOperator: [27, ["pointer", "buffer"], STATUS],
  addDomain: [28, ["pointer", "pointer"], STATUS],
  outputCount: [31, ["pointer", OUT], STATUS],
  outputName: [37, ["pointer", "usize", "pointer", OUT], STATUS],
  createTensor: [49, [
    "pointer",
    "buffer",
    "usize",
    "buffer",
    "usize",
    "i32",
    OUT,
  ], STATUS],
  tensorData: [51, ["pointer", OUT], STATUS],
  elementCount: [64, ["pointer", OUT], STATUS],
  tensorShape: [65, ["pointer", OUT], STATUS],
  createCpuMemoryInfo: [69, ["i32", "i32", OUT], STATUS],
  allocatorFree: [76, ["pointer", "pointer"], STATUS],
  defaultAllocator: [78, [OUT], STATUS],
  attributeInteger: [86, ["pointer", "buffer", OUT], STATUS],
  kernelInput: [90, ["pointer", "usize", OUT], STATUS],
  kernelOutput: [91, ["pointer", "usize", "buffer", "usize", OUT], STATUS],
  releaseStatus: [93, ["pointer"], "void"],
  releaseSession: [95, ["pointer"], "void"],
  releaseValue: [96, ["pointer"], "void"],
  releaseShape: [99, ["pointer"], "void"],
  releaseSessionOptions: [100, ["pointer"], "void"],
  releaseDomain: [101, ["pointer"], "void"],
  addConfigEntry: [130, ["pointer", "buffer", "buffer"], STATUS],
  forEach: [274, ["pointer", "pointer", "usize", "usize", "buffer"], STATUS],
} as const satisfies Record<
  string,
  readonly [
    number,
    readonly Deno.NativeType[],
    Deno.NativeResultType,
  ]
>;

type Functions = typeof FUNCTIONS;

/** Address of something of ONNX Runtime's. */
export type Handle = Deno.PointerValue;

/** The functions, each as C has it: those that can fail give a status. */
export type OrtFunctions = {
  [Name in keyof Functions]: (
    ...of: Deno.ToNativeParameterTypes<Functions[Name][1]>
  ) => Deno.FromNativeResultType<Functions[Name][2]>;
};

/** Level of ONNX Runtime's log: what fails is thrown, and need not be written there, too. */
export const LOG_FATAL = 4;

/** `OrtDeviceAllocator` and `OrtMemTypeDefault`. */
const DEVICE_ALLOCATOR = 0;
const DEFAULT_MEMORY = 0;

/** The API of a process, with what all sessions have in common. */
export interface OrtApi {
  readonly functions: OrtFunctions;
  readonly environment: Handle;
  /** That values are in host memory. */
  readonly hostMemory: Handle;
}

let opened: Promise<OrtApi> | null = null;

/**
 * Opens the library.
 *
 * @throws {Error} if there is none for this machine
 */
export function openOrtApi(): Promise<OrtApi> {
  return opened ??= open();
}

async function open(): Promise<OrtApi> {
  // Its own binding is loaded so that the library stays in the process, and is found by its name.
  await import("onnxruntime-node");
  const functions = bind(libraryPath());
  const api = { functions };
  return {
    functions,
    environment: made(
      api,
      (out) => functions.createEnv(LOG_FATAL, text("everstream"), out),
    ),
    hostMemory: made(
      api,
      (out) =>
        functions.createCpuMemoryInfo(DEVICE_ALLOCATOR, DEFAULT_MEMORY, out),
    ),
  };
}

/** The library's file, beside onnxruntime-node's own. */
function libraryPath(): URL {
  const { os, arch } = Deno.build;
  const platform = os === "windows" ? "win32" : os;
  const machine = arch === "x86_64" ? "x64" : "arm64";
  const main = import.meta.resolve("onnxruntime-node");
  const directory = new URL(`../bin/napi-v6/${platform}/${machine}/`, main);
  const names: Partial<Record<typeof os, string>> = {
    windows: "onnxruntime.dll",
    darwin: "libonnxruntime.1.dylib",
  };
  return new URL(names[os] ?? "libonnxruntime.so.1", directory);
}

function bind(library: URL): OrtFunctions {
  const opened = Deno.dlopen(library, {
    OrtGetApiBase: { parameters: [], result: "pointer" },
  });
  const base = new Deno.UnsafePointerView(opened.symbols.OrtGetApiBase()!);
  opened.close(); // it stays, for onnxruntime-node has it, too
  const getApi = new Deno.UnsafeFnPointer(
    base.getPointer() as Deno.PointerObject<never>,
    { parameters: ["u32"], result: "pointer" },
  );
  const table = new Deno.UnsafePointerView(getApi.call(VERSION)!);
  const functions = Object.entries(FUNCTIONS).map((
    [name, [place, parameters, result]],
  ) => {
    const at = table.getPointer(place * 8) as Deno.PointerObject<never>;
    const pointer = new Deno.UnsafeFnPointer(at, { parameters, result });
    return [name, (...of: never) => pointer.call(...of)];
  });
  return Object.fromEntries(functions) as OrtFunctions;
}

/** @throws {Error} if a status says that something failed */
export function check(
  { functions }: Pick<OrtApi, "functions">,
  status: Handle,
): void {
  if (status === null) return;
  const message = functions.getErrorMessage(status)!;
  const error = new Error(new Deno.UnsafePointerView(message).getCString());
  functions.releaseStatus(status);
  throw error;
}

/**
 * What a function makes.
 *
 * @param call is given where the function is to put the address
 * @throws {Error} if it fails
 */
export function made(
  api: Pick<OrtApi, "functions">,
  call: (out: BigUint64Array<ArrayBuffer>) => Handle,
): Handle {
  return Deno.UnsafePointer.create(madeNumber(api, call));
}

/** Likewise, as a number of 64 bits. */
export function madeNumber(
  api: Pick<OrtApi, "functions">,
  call: (out: BigUint64Array<ArrayBuffer>) => Handle,
): bigint {
  const out = new BigUint64Array(1);
  check(api, call(out));
  return out[0]!;
}

/** Elements of a value. */
export function elementCount(
  api: Pick<OrtApi, "functions">,
  value: Handle,
): number {
  const { functions } = api;
  const shape = made(api, (out) => functions.tensorShape(value, out));
  const count = madeNumber(api, (out) => functions.elementCount(shape, out));
  functions.releaseShape(shape);
  return Number(count);
}

/** A string as C has it. */
export function text(string: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${string}\0`);
}

/** A file's path as the library takes it: Windows' has 16 bits a character. */
export function path(file: string): Uint8Array<ArrayBuffer> {
  if (Deno.build.os !== "windows") return text(file);
  const units = Uint16Array.from(`${file}\0`, (c) => c.charCodeAt(0));
  return new Uint8Array(units.buffer);
}

/** Addresses of some memory, for the library to read; the memory has to be kept meanwhile. */
export function addresses(
  of: readonly Uint8Array<ArrayBuffer>[],
): BigUint64Array<ArrayBuffer> {
  return BigUint64Array.from(of, addressOf);
}
