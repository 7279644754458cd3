/** What the store says of its snapshots, as metrics. @module */
import type { SnapshotCounts } from "../store/snapshots.ts";
import type { Family } from "./exposition.ts";

/** Snapshots as far as they are counted. */
export interface CountedSnapshots {
  /** Bytes that all take together. */
  readonly bytes: number;
  readonly counts: SnapshotCounts;
}

interface Reading extends Omit<Family, "samples"> {
  value(snapshots: CountedSnapshots): number;
}

const READINGS: readonly Reading[] = [
  {
    name: "everstream:snapshot_bytes",
    help: "Bytes of snapshots: copies of caches that outlast the process.",
    type: "gauge",
    value: ({ bytes }) => bytes,
  },
  {
    name: "everstream:snapshots_written_total",
    help: "Snapshots written behind a turn.",
    type: "counter",
    value: ({ counts }) => counts.written,
  },
  {
    name: "everstream:snapshots_failed_total",
    help: "Snapshots that could not be written, as with a full disk.",
    type: "counter",
    value: ({ counts }) => counts.failed,
  },
  {
    name: "everstream:snapshots_pruned_total",
    help: "Snapshots forgotten to make room (EVERSTREAM_SNAPSHOT_BYTES).",
    type: "counter",
    value: ({ counts }) => counts.pruned,
  },
  {
    name: "everstream:snapshots_damaged_total",
    help: "Snapshots that were lost or not what was written when they were " +
      "read: a turn went on from an older one, or from its log.",
    type: "counter",
    value: ({ counts }) => counts.damaged,
  },
];

/** A store's snapshots for the exposition; names without values where there is no store. */
export function snapshotFamilies(snapshots: CountedSnapshots | null): Family[] {
  return READINGS.map(({ value, ...head }) => ({
    ...head,
    samples: snapshots === null
      ? []
      : [{ suffix: "", labels: {}, value: value(snapshots) }],
  }));
}
