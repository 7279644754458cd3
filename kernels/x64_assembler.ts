/**
 * Machine code of x86-64 with AVX2, written down instruction by instruction; iced encodes it.
 *
 * @module
 */
import iced from "iced-x86";
import type {
  Instruction as IcedInstruction,
  MemoryOperand as IcedOperand,
} from "iced-x86";

// A CommonJS module, whose types say that it has names.
const { BlockEncoder, Code, Instruction, MemoryOperand, Register } =
  iced as unknown as typeof import("iced-x86");

/** A register of 64 bits. */
export type Pointer = { readonly pointer: number };
/** A register of 8 lanes of f32. */
export type Vector = { readonly vector: number };
/** What lies at an address. */
export type Memory = {
  readonly base: Pointer;
  readonly offset: number;
  readonly index: Pointer | null;
  readonly scale: number;
};
/** A place in the code. */
export type Label = { at: bigint };
/** What an instruction is about. */
export type Operand = Pointer | Vector | Memory | number;

const pointer = (register: number): Pointer => ({ pointer: register });

/** Registers of 64 bits by their names. */
export const R = {
  rax: pointer(Register.RAX),
  rbx: pointer(Register.RBX),
  rcx: pointer(Register.RCX),
  rdx: pointer(Register.RDX),
  rsi: pointer(Register.RSI),
  rdi: pointer(Register.RDI),
  rbp: pointer(Register.RBP),
  rsp: pointer(Register.RSP),
  r8: pointer(Register.R8),
  r9: pointer(Register.R9),
  r10: pointer(Register.R10),
  r11: pointer(Register.R11),
  r12: pointer(Register.R12),
  r13: pointer(Register.R13),
  r14: pointer(Register.R14),
  r15: pointer(Register.R15),
} as const;

/** One of the 16 vectors. */
export function ymm(number: number): Vector {
  return { vector: Register.YMM0 + number };
}

/** What lies `offset` bytes behind a pointer, and behind `scale` times an index. */
export function at(
  base: Pointer,
  offset = 0,
  index: Pointer | null = null,
  scale = 1,
): Memory {
  return { base, offset, index, scale };
}

/** Instructions by mnemonic, with all forms that we use, by the kinds of their operands. */
const FORMS = {
  push: { p: Code.Push_r64 },
  pop: { p: Code.Pop_r64 },
  mov: {
    pp: Code.Mov_r64_rm64,
    pm: Code.Mov_r64_rm64,
    mp: Code.Mov_rm64_r64,
    pi: Code.Mov_rm64_imm32,
  },
  movDword: { mi: Code.Mov_rm32_imm32 },
  lea: { pm: Code.Lea_r64_m },
  and: { pi: Code.And_rm64_imm32 },
  add: {
    pi: Code.Add_rm64_imm32,
    pp: Code.Add_r64_rm64,
    pm: Code.Add_r64_rm64,
  },
  sub: { pi: Code.Sub_rm64_imm32 },
  imul: { pp: Code.Imul_r64_rm64, pm: Code.Imul_r64_rm64 },
  imulBy: { ppi: Code.Imul_r64_rm64_imm32 },
  shl: { pi: Code.Shl_rm64_imm8 },
  div: { p: Code.Div_rm64 },
  cmp: { pi: Code.Cmp_rm64_imm32, pp: Code.Cmp_r64_rm64 },
  cmovl: { pp: Code.Cmovl_r64_rm64 },
  ret: { "": Code.Retnq },
  vmovups: {
    vv: Code.VEX_Vmovups_ymm_ymmm256,
    vm: Code.VEX_Vmovups_ymm_ymmm256,
    mv: Code.VEX_Vmovups_ymmm256_ymm,
  },
  vbroadcastss: { vm: Code.VEX_Vbroadcastss_ymm_m32 },
  vaddps: {
    vvv: Code.VEX_Vaddps_ymm_ymm_ymmm256,
    vvm: Code.VEX_Vaddps_ymm_ymm_ymmm256,
  },
  vsubps: {
    vvv: Code.VEX_Vsubps_ymm_ymm_ymmm256,
    vvm: Code.VEX_Vsubps_ymm_ymm_ymmm256,
  },
  vmulps: {
    vvv: Code.VEX_Vmulps_ymm_ymm_ymmm256,
    vvm: Code.VEX_Vmulps_ymm_ymm_ymmm256,
  },
  vdivps: { vvv: Code.VEX_Vdivps_ymm_ymm_ymmm256 },
  vmaxps: {
    vvv: Code.VEX_Vmaxps_ymm_ymm_ymmm256,
    vvm: Code.VEX_Vmaxps_ymm_ymm_ymmm256,
  },
  vandps: { vvv: Code.VEX_Vandps_ymm_ymm_ymmm256 },
  vxorps: { vvv: Code.VEX_Vxorps_ymm_ymm_ymmm256 },
  vfmadd231ps: {
    vvv: Code.VEX_Vfmadd231ps_ymm_ymm_ymmm256,
    vvm: Code.VEX_Vfmadd231ps_ymm_ymm_ymmm256,
  },
  vfmadd213ps: { vvm: Code.VEX_Vfmadd213ps_ymm_ymm_ymmm256 },
  vfnmadd231ps: { vvm: Code.VEX_Vfnmadd231ps_ymm_ymm_ymmm256 },
  vhaddps: { vvv: Code.VEX_Vhaddps_ymm_ymm_ymmm256 },
  vcmpps: { vvmi: Code.VEX_Vcmpps_ymm_ymm_ymmm256_imm8 },
  vpslld: { vvi: Code.VEX_Vpslld_ymm_ymm_imm8 },
  vpaddd: { vvv: Code.VEX_Vpaddd_ymm_ymm_ymmm256 },
  vperm2f128: { vvvi: Code.VEX_Vperm2f128_ymm_ymm_ymmm256_imm8 },
  vpermilps: { vvi: Code.VEX_Vpermilps_ymm_ymmm256_imm8 },
  vpmovsxwd: { vm: Code.VEX_Vpmovsxwd_ymm_xmmm128 },
  vpmovsxbd: { vm: Code.VEX_Vpmovsxbd_ymm_xmmm64 },
  vcvtdq2ps: { vv: Code.VEX_Vcvtdq2ps_ymm_ymmm256 },
  vzeroupper: { "": Code.VEX_Vzeroupper },
} as const satisfies Record<string, Record<string, number>>;

const BRANCHES = {
  call: Code.Call_rel32_64,
  jmp: Code.Jmp_rel32_64,
  je: Code.Je_rel32_64,
  jne: Code.Jne_rel32_64,
  jg: Code.Jg_rel32_64,
} as const;

/** An instruction that computes. */
export type Mnemonic = keyof typeof FORMS;

/** Puts instructions one behind the other. */
export class Assembler {
  readonly #encoder = new BlockEncoder(64, 0);
  #labels = 0n;
  /** Label of the next instruction. */
  #next: Label | null = null;

  /**
   * Adds an instruction; where it goes comes first.
   *
   * @throws {TypeError} if there is no such form of it
   */
  emit(mnemonic: Mnemonic, ...operands: readonly Operand[]): void {
    const kinds = operands.map(kindOf).join("");
    const code = (FORMS[mnemonic] as Record<string, number>)[kinds];
    if (code === undefined) {
      throw new TypeError(`Cannot encode ${mnemonic} with operands "${kinds}"`);
    }
    this.#add(MAKERS[kinds]!(code, operands.map(madeOf)));
  }

  /** Adds a jump or a call. */
  branch(mnemonic: keyof typeof BRANCHES, to: Label): void {
    this.#add(Instruction.createBranch(BRANCHES[mnemonic], to.at));
  }

  /** A place that is to be {@linkcode bind}ed. */
  label(): Label {
    return { at: ++this.#labels };
  }

  /** Says that the place is here. */
  bind(label: Label): void {
    // Two places may not be the same instruction.
    if (this.#next) this.#add(Instruction.create(Code.Nopd));
    this.#next = label;
  }

  /** A place here, to go back to. */
  here(): Label {
    const label = this.label();
    this.bind(label);
    return label;
  }

  /** The code; it runs at any address. */
  finish(): Uint8Array<ArrayBuffer> {
    if (this.#next) this.#add(Instruction.create(Code.Nopd));
    const bytes = Uint8Array.from(this.#encoder.encode(0n));
    this.#encoder.free();
    return bytes;
  }

  #add(instruction: IcedInstruction): void {
    instruction.ip = this.#next?.at ?? 0n;
    this.#next = null;
    this.#encoder.add(instruction);
    instruction.free();
  }
}

type Made = number | IcedOperand;

/** Makes instructions, by the kinds of their operands. */
const MAKERS: Readonly<
  Record<string, (code: number, of: readonly Made[]) => IcedInstruction>
> = {
  "": by(Instruction.create),
  p: by(Instruction.createReg),
  pp: by(Instruction.createRegReg),
  pm: by(Instruction.createRegMem),
  mp: by(Instruction.createMemReg),
  pi: by(Instruction.createRegI32),
  mi: by(Instruction.createMemI32),
  ppi: by(Instruction.createRegRegI32),
  vv: by(Instruction.createRegReg),
  vm: by(Instruction.createRegMem),
  mv: by(Instruction.createMemReg),
  vvv: by(Instruction.createRegRegReg),
  vvm: by(Instruction.createRegRegMem),
  vvi: by(Instruction.createRegRegI32),
  vvvi: by(Instruction.createRegRegRegI32),
  vvmi: by(Instruction.createRegRegMemI32),
};

/** One of iced's functions, which have as many parameters as the instruction has operands. */
function by(make: unknown) {
  return (code: number, of: readonly Made[]) =>
    (make as (code: number, ...of: readonly Made[]) => IcedInstruction)(
      code,
      ...of,
    );
}

function kindOf(operand: Operand): string {
  if (typeof operand === "number") return "i";
  if ("pointer" in operand) return "p";
  return "vector" in operand ? "v" : "m";
}

/** An operand as iced takes it, which frees those of memory. */
function madeOf(operand: Operand): Made {
  if (typeof operand === "number") return operand;
  if ("pointer" in operand) return operand.pointer;
  return "vector" in operand ? operand.vector : memoryOperand(operand);
}

function memoryOperand({ base, offset, index, scale }: Memory): IcedOperand {
  return new MemoryOperand(
    base.pointer,
    index?.pointer ?? Register.None,
    scale,
    BigInt(offset),
    offset === 0 ? 0 : 1, // as few bytes as it takes
    false,
    Register.None,
  );
}
