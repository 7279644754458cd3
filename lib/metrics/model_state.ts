/** What a model says of itself, as metrics. @module */
import type { ModelState } from "../chat/chat_model.ts";
import type { Family, Labels } from "./exposition.ts";

/** A state that was just asked for, and whose it is. */
export interface NamedState {
  model: string;
  state: ModelState;
}

interface Reading extends Omit<Family, "samples"> {
  /** Values under the labels that tell them apart. */
  values(state: ModelState): [Labels, number][];
}

const READINGS: readonly Reading[] = [
  {
    name: "everstream:num_requests_running",
    help: "Requests that have a slot.",
    type: "gauge",
    values: ({ running }) => [[{}, running]],
  },
  {
    name: "everstream:num_requests_waiting",
    help: "Requests in the queue.",
    type: "gauge",
    values: ({ waiting }) => [[{}, waiting]],
  },
  {
    name: "everstream:cache_bytes",
    help: "Bytes of caches: slots of requests that run (active), of " +
      "conversations between turns (idle) and of nobody (free), conversations " +
      "moved out of their slots (swapped), and shared beginnings (shared).",
    type: "gauge",
    values: ({ cacheBytes }) =>
      Object.entries(cacheBytes).map(([state, bytes]) => [{ state }, bytes]),
  },
  {
    name: "everstream:gpu_bytes",
    help: "Bytes of buffers on the GPU: weights of the model, slots of " +
      "conversations (caches), and what runs need (scratch). Without values " +
      "if the model does not run on a GPU.",
    type: "gauge",
    values: ({ gpuBytes }) =>
      Object.entries(gpuBytes ?? {})
        .map(([purpose, bytes]) => [{ purpose }, bytes]),
  },
  {
    name: "everstream:cache_evicted_tokens_total",
    help: "Tokens that left a full cache.",
    type: "counter",
    values: ({ totals }) => [[{}, totals.evicted]],
  },
  {
    name: "everstream:swaps_total",
    help: "Conversations moved out of a slot and back into one.",
    type: "counter",
    values: ({ totals }) => [
      [{ direction: "out" }, totals.swappedOut],
      [{ direction: "in" }, totals.swappedIn],
    ],
  },
  {
    name: "everstream:shared_beginnings_asked_total",
    help: "Conversations that began with what others may begin with.",
    type: "counter",
    values: ({ totals }) => [[{}, totals.beginningsAsked]],
  },
  {
    name: "everstream:shared_beginnings_found_total",
    help: "Those whose beginning did not have to be computed.",
    type: "counter",
    values: ({ totals }) => [[{}, totals.beginningsFound]],
  },
];

/** A model's state for the exposition; names without values while there is no model. */
export function stateFamilies(named: NamedState | null): Family[] {
  return READINGS.map(({ values, ...head }) => ({
    ...head,
    samples: named === null
      ? []
      : values(named.state).map(([labels, value]) => ({
        suffix: "",
        labels: { model_name: named.model, ...labels },
        value,
      })),
  }));
}
