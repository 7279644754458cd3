/** Ids of objects: never given twice, and not to be guessed. @module */

/** A new id, as `resp_…`. */
export function newId(prefix: "resp" | "msg" | "fc" | "fco" | "conv"): string {
  return `${prefix}_${crypto.randomUUID().replaceAll("-", "")}`;
}
