/**
 * The operator that asks for a layer's attention: `Attend` of our own domain, as ONNX Runtime's C API takes
 * operators (`OrtCustomOp` in `onnxruntime_c_api.h`). It asks JavaScript, on the thread that runs the session, which
 * may let machine code run on all threads of the library.
 *
 * @module
 */
import { ATTEND, ATTEND_LAYER } from "../../graph/attention/attended.ts";
import type { RunAttention } from "../engine.ts";
import {
  check,
  elementCount,
  type Handle,
  made,
  madeNumber,
  type OrtApi,
  text,
} from "./ort_api.ts";

/** `ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT`. */
const FLOAT32 = 1;
/** `ORT_FAIL`. */
const FAILED = 1;
/** Version of the struct. */
const VERSION = 22n;
/** Fields of the struct, of 8 bytes each. */
const FIELDS = 24;
/** Views of ONNX Runtime's memory that are kept; it uses the same places again and again. */
const MOST_VIEWS = 4_096;

type Callback = { pointer: Handle; close(): void };

/** The operator, for one session. */
export class AttendOperator {
  /** Computes the nodes of the run in progress. */
  attention: RunAttention | null = null;
  /** What a node threw. */
  #error: { readonly thrown: unknown } | null = null;
  readonly #api: OrtApi;
  readonly #domain: Handle;
  readonly #callbacks: Callback[] = [];
  /** Layers of the nodes. */
  readonly #layers: number[] = [];
  readonly #views = new Map<bigint, Float32Array<ArrayBuffer>>();
  /** What the library points at. */
  readonly #kept: Uint8Array<ArrayBuffer>[];
  readonly #struct = new BigUint64Array(FIELDS);

  constructor(api: OrtApi) {
    this.#api = api;
    const name = text(ATTEND.operator);
    const domain = text(ATTEND.domain);
    this.#kept = [name, domain];
    this.#fill(name);
    const { functions } = api;
    this.#domain = made(api, (out) => functions.createDomain(domain, out));
    check(api, functions.addOperator(this.#domain, this.#struct));
  }

  /** Lets a session that is opened with these options have such nodes. */
  addTo(options: Handle): void {
    const { functions } = this.#api;
    check(this.#api, functions.addDomain(options, this.#domain));
  }

  /** @throws what a node of the last run threw */
  check(): void {
    const error = this.#error;
    this.#error = null;
    if (error) throw error.thrown;
  }

  /** Frees it; no session may have it any more. */
  release(): void {
    this.#api.functions.releaseDomain(this.#domain);
    for (const callback of this.#callbacks) callback.close();
    this.#kept.length = 0;
  }

  #fill(name: Uint8Array<ArrayBuffer>): void {
    const struct = this.#struct;
    const nameAt = Deno.UnsafePointer.of(name);
    const asked = ["pointer"] as const;
    const askedOf = ["pointer", "usize"] as const;
    struct[0] = VERSION;
    struct[2] = this.#callback(asked, "pointer", () => nameAt); // GetName
    struct[3] = this.#callback(asked, "pointer", () => null); // GetExecutionProviderType: the CPU's
    const float = this.#callback(askedOf, "i32", () => FLOAT32);
    const one = this.#callback(asked, "usize", () => 1n);
    const plain = this.#callback(askedOf, "i32", () => 0);
    const yes = this.#callback(asked, "i32", () => 1);
    struct.set([float, one, float, one], 4); // types and numbers of inputs and outputs
    struct[9] = this.#callback(asked, "void", () => {}); // KernelDestroy
    struct.set([plain, plain, plain], 10); // all are required, and in the host's memory
    struct.set([yes, yes, yes, yes], 13); // what holds if some were not
    struct[17] = this.#callback( // CreateKernelV2
      ["pointer", "pointer", "pointer", "pointer"],
      "pointer",
      (_operator, _api, info, out) => this.#guard(() => this.#add(info, out)),
    );
    struct[18] = this.#callback( // KernelComputeV2
      ["pointer", "pointer"],
      "pointer",
      (node, context) => this.#guard(() => this.#compute(node, context)),
    );
  }

  #callback<
    const Parameters extends readonly Deno.NativeType[],
    const Result extends Deno.NativeResultType,
  >(
    parameters: Parameters,
    result: Result,
    fn: Deno.UnsafeCallbackFunction<Parameters, Result>,
  ): bigint {
    const callback = new Deno.UnsafeCallback({ parameters, result }, fn);
    this.#callbacks.push(callback as unknown as Callback);
    return Deno.UnsafePointer.value(callback.pointer);
  }

  /** No exception may pass through the library: it gives back a status. */
  #guard(run: () => void): Handle {
    try {
      run();
      return null;
    } catch (error) {
      this.#error ??= { thrown: error };
      const message = text(`${ATTEND.operator}: ${(error as Error).message}`);
      return this.#api.functions.createStatus(FAILED, message);
    }
  }

  /** A node of the graph: what the library takes for its address is its number, from 1. */
  #add(info: Handle, out: Handle): void {
    const { functions } = this.#api;
    const layer = madeNumber(
      this.#api,
      (out) => functions.attributeInteger(info, text(ATTEND_LAYER), out),
    );
    this.#layers.push(Number(layer));
    const address = Deno.UnsafePointerView.getArrayBuffer(out!, 8);
    new BigUint64Array(address)[0] = BigInt(this.#layers.length);
  }

  #compute(number: Handle, context: Handle): void {
    const { functions } = this.#api;
    const layer = this.#layers[Number(Deno.UnsafePointer.value(number)) - 1]!;
    const { attention } = this;
    if (!attention) throw new Error("Nothing was given that attends");
    const { projections, attended } = attention.sizes;
    const input = made(
      this.#api,
      (out) => functions.kernelInput(context, 0n, out),
    );
    if (layer === 0) this.#checkSize(input, projections);
    const sizes = new BigInt64Array([BigInt(attended)]);
    const output = made(
      this.#api,
      (out) => functions.kernelOutput(context, 0n, sizes, 1n, out),
    );
    attention.attend({
      layer,
      projections: this.#view(input, projections),
      attended: this.#view(output, attended),
      forEach: (items, code, job) => {
        const count = BigInt(items);
        check(
          this.#api,
          functions.forEach(context, code, count, count, job),
        );
      },
    });
  }

  /** @throws {Error} if the graph computes other tokens than those that are attended to */
  #checkSize(value: Handle, expected: number): void {
    const count = elementCount(this.#api, value);
    if (count !== expected) {
      throw new Error(
        `Cannot attend with ${count} values: ${expected} were said`,
      );
    }
  }

  /** A value's memory. */
  #view(value: Handle, length: number): Float32Array<ArrayBuffer> {
    const { functions } = this.#api;
    const at = madeNumber(
      this.#api,
      (out) => functions.tensorData(value, out),
    );
    const known = this.#views.get(at);
    if (known && known.length === length) return known;
    if (this.#views.size >= MOST_VIEWS) this.#views.clear();
    const view = new Float32Array(
      Deno.UnsafePointerView.getArrayBuffer(
        Deno.UnsafePointer.create(at)!,
        length * Float32Array.BYTES_PER_ELEMENT,
      ),
    );
    this.#views.set(at, view);
    return view;
  }
}
