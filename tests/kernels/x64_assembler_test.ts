import { assertEquals, assertThrows } from "@std/assert";
import { Assembler, at, R, ymm } from "../../kernels/x64_assembler.ts";

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

Deno.test("assembler: instructions are as objdump reads them", () => {
  const a = new Assembler();
  a.emit("vfmadd231ps", ymm(0), ymm(1), at(R.rdi, 64, R.rax, 4));
  a.emit("vmovups", at(R.rsp, 32), ymm(15));
  a.emit("lea", R.rax, at(R.rdi, 0, R.rsi));
  a.emit("ret");
  assertEquals(
    hex(a.finish()),
    "c4 e2 75 b8 44 87 40 c5 7c 11 7c 24 20 48 8d 04 37 c3",
  );
});

Deno.test("assembler: jumps go to labels before and behind them", () => {
  const a = new Assembler();
  const end = a.label();
  const loop = a.here();
  a.emit("sub", R.rax, 1);
  a.branch("je", end);
  a.branch("jmp", loop);
  a.bind(end); // nothing behind it
  // loop: 48 81 e8 01 00 00 00; je +2; jmp −11; nop
  assertEquals(hex(a.finish()), "48 81 e8 01 00 00 00 74 02 eb f5 90");
});

Deno.test("assembler: two labels may be at one place", () => {
  const a = new Assembler();
  const [one, two] = [a.label(), a.label()];
  a.branch("jmp", one);
  a.branch("jmp", two);
  a.bind(one);
  a.bind(two);
  a.emit("ret");
  assertEquals(hex(a.finish()), "eb 02 eb 01 90 c3");
});

Deno.test("assembler: says what cannot be encoded", () => {
  const a = new Assembler();
  assertThrows(
    () => a.emit("vaddps", R.rax, ymm(0), ymm(1)),
    TypeError,
    'Cannot encode vaddps with operands "pvv"',
  );
});
