import { assertEquals, assertThrows } from "@std/assert";
import { Assembler, at, R } from "../../kernels/x64_assembler.ts";
import {
  placeCode,
  runsMachineCode,
} from "../../lib/engine/native/machine_code.ts";

const ignore = !runsMachineCode();
if (ignore) console.warn("machine code: skipped, for it cannot run here");

/** `long f(long a, long b) { return a + b + more; }` */
function sum(more: number): Uint8Array<ArrayBuffer> {
  const a = new Assembler();
  a.emit("lea", R.rax, at(R.rdi, more, R.rsi));
  a.emit("ret");
  return a.finish();
}

Deno.test({
  name: "machine code: runs, and is placed once by its name",
  ignore,
  fn() {
    const code = placeCode("sum", () => sum(5));
    const call = new Deno.UnsafeFnPointer(
      code as Deno.PointerObject<never>,
      { parameters: ["i64", "i64"], result: "i64" },
    );
    assertEquals(call.call(30n, 7n), 42n);
    const never = () => {
      throw new Error("assembled again");
    };
    const address = Deno.UnsafePointer.value(code);
    assertEquals(Deno.UnsafePointer.value(placeCode("sum", never)), address);
    const other = placeCode("sum and 6", () => sum(6));
    assertEquals(Deno.UnsafePointer.value(other) === address, false);
    assertThrows(() => placeCode("new", never), Error, "assembled again");
  },
});
