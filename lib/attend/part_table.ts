/** Where a layer's rows lie, as the kernel reads it. @module */
import {
  PART,
  ROW_ELEMENTS,
  type RowElement,
} from "../../kernels/attend_job.ts";
import {
  type CacheTensor,
  type LayerCache,
  ROW_TYPE_BYTES,
  tensorTokens,
} from "../cache/layout.ts";
import { SINKS } from "./row_runs.ts";

/**
 * A layer's parts one behind the other: sinks, tail, each block of the ring.
 *
 * @param address where a tensor of the layer begins, by its place among them
 */
export function partTable(
  { tensors, layout }: LayerCache,
  address: (tensor: number) => bigint,
): BigUint64Array<ArrayBuffer> {
  const { sinkRows, tailRows, blocks } = layout;
  const exact = { holds: ({ sinks }: CacheTensor) => sinks, before: 0 };
  const ring = blocks.map((_, block) => ({
    holds: (tensor: CacheTensor) => tensor.block === block,
    before: sinkRows,
  }));
  const tail = tailRows > 0
    ? { holds: ({ tail }: CacheTensor) => tail, before: sinkRows }
    : exact; // nobody asks for it
  const table = new BigUint64Array((2 + blocks.length) * PART.fields);
  for (const [part, { holds, before }] of [exact, tail, ...ring].entries()) {
    /** Keys or values, or the scales of either: where they begin, and how far KV heads' lie apart. */
    const find = (rows: string, encoded: number) => {
      const index = tensors.findIndex((tensor) =>
        tensor.rows === rows && holds(tensor) &&
        (tensor.encoded?.part ?? 0) === encoded
      );
      const tensor = tensors[index];
      if (!tensor) return null;
      const row = tensor.width * ROW_TYPE_BYTES[tensor.type];
      return {
        type: tensor.type,
        at: address(index) + BigInt(row * (tensor.sinks ? before : 0)),
        line: BigInt(row * tensorTokens(tensor, layout)),
      };
    };
    const [keys, values] = [find("keys", 0)!, find("values", 0)!];
    const [keyScales, valueScales] = [find("keys", 1), find("values", 1)];
    const fields = table.subarray(part * PART.fields);
    fields[PART.keys] = keys.at;
    fields[PART.keyLine] = keys.line;
    fields[PART.values] = values.at;
    fields[PART.valueLine] = values.line;
    fields[PART.keyScales] = keyScales?.at ?? 0n;
    fields[PART.keyScaleLine] = keyScales?.line ?? 0n;
    fields[PART.valueScales] = valueScales?.at ?? 0n;
    fields[PART.valueScaleLine] = valueScales?.line ?? 0n;
    const element = ROW_ELEMENTS.indexOf(keys.type as RowElement);
    fields[PART.element] = BigInt(element);
    fields[PART.sinks] = part === SINKS ? 1n : 0n;
  }
  return table;
}
