/** Plans as text, for people. @module */
import { formatTable } from "../program/table.ts";
import { lazyLayerCount } from "../cache/lazy_share.ts";
import { formatBytes } from "../byte_size.ts";
import type { NamedPlan } from "./wire.ts";

/** Says what a plan is of, and what each policy and precision takes. */
export function formatPlan(plan: NamedPlan): string {
  const { model, shape, request, caches, leftOut } = plan;
  const { tokens, streams, sinks, window, memory } = request;
  const lazy = lazyLayerCount(request.lazyLayers ?? "auto", shape.layers);
  const table = formatTable({
    columns: [
      "policy",
      "rows",
      "kv_bits",
      "engines",
      "keeps",
      "a token",
      "a conversation",
      `${count(streams)} of them`,
      `fit in ${formatBytes(memory)}`,
    ],
    rows: caches.map((cache) => [
      cache.policy,
      cache.precision,
      String(cache.kvBits),
      cache.engines.join(", "),
      count(cache.capacity),
      formatBytes(cache.bytesPerToken),
      formatBytes(cache.bytes),
      formatBytes(cache.bytesInAll),
      count(cache.fit),
    ]),
  });
  return [
    `${model}: ${shape.layers} layers, keys and values of ${shape.kvHeads} heads ` +
    `(${shape.heads} ask) of ${shape.headDim} values`,
    `conversations of ${count(tokens)} tokens; ${count(sinks)} sinks, ` +
    `a window of ${count(window)}, ${lazy} lazy layers`,
    "",
    table,
    ...leftOut.map(({ precision, engines, reason }) =>
      `without ${precision} on ${engines.join(", ")}: ${reason}`
    ),
  ].join("\n");
}

function count(number: number): string {
  return number.toLocaleString("en-US");
}
