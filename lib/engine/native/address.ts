/** Where memory lies; it stays there as long as somebody has it. */
export function addressOf(memory: BufferSource): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(memory));
}
