/** Threads of the real model: wherever a turn goes on from, its greedy tokens are the same. */
import { assert, assertEquals } from "@std/assert";
import type {
  GenerationEvent,
  GenerationRequest,
} from "../../lib/chat/chat_model.ts";
import type { ThreadEnd, ThreadLog } from "../../lib/chat/thread.ts";
import { loadedModel } from "./loaded_model.ts";
import { question } from "./killed_server.ts";

const TURNS = 3;
const POLICIES: GenerationRequest["policy"][] = [
  { policy: "sink-window", sinks: 4, window: 60, evict: "turn" },
  { policy: "window", window: 40 },
];

for (const policy of POLICIES) {
  Deno.test(`a turn's tokens are the same from its slot, a snapshot, an older one and its log (${JSON.stringify(policy)})`, async () => {
    const { service } = await loadedModel({
      EVERSTREAM_ENGINE: "native",
      EVERSTREAM_WINDOW: "124",
      EVERSTREAM_MEMORY: "60MB",
    });
    const client = { owner: crypto.randomUUID(), id: "" };
    let log: ThreadLog = {
      tokens: new Uint32Array(),
      starts: [],
      runs: [],
      snapshot: null,
    };
    let last: { state: string; setup: ThreadEnd["setup"] } | null = null;
    const snapshots: (Uint8Array<ArrayBuffer> | null)[] = [null];

    async function take(
      turn: number,
      of: { from: string | null; snapshot: ThreadLog["snapshot"] },
    ): Promise<{ end: ThreadEnd; resumed: unknown; state: string }> {
      const state = crypto.randomUUID();
      const from = last && {
        ...last,
        state: of.from ?? "not held",
        log: { ...log, snapshot: of.snapshot },
      };
      const events: GenerationEvent[] = await Array.fromAsync(service.generate({
        client,
        messages: [{ role: "user", content: question(turn) }],
        sampling: { temperature: 0 },
        maxTokens: 12 + turn % 2,
        stop: [],
        policy,
        thread: { from, to: state },
      }));
      const [start, end] = [events[0]!, events.at(-1)!];
      assert(start.type === "start" && end.type === "end");
      return { end: end.thread!, resumed: start.resumed, state };
    }

    for (let turn = 0; turn < TURNS; turn++) {
      const ways: [string | null, ThreadLog["snapshot"], string | null][] = [
        [last && last.state, null, "slot"],
        [null, null, "replay"],
        [null, snapshots.at(-1)!, "snapshot"],
        [null, snapshots.at(-2) ?? null, "snapshot"],
      ];
      const taken = [];
      for (const [from, snapshot, way] of ways) {
        const result = await take(turn, { from, snapshot });
        const found = last === null ? null : snapshot || from ? way : "replay";
        assertEquals([turn, result.resumed], [turn, found]);
        taken.push(result);
      }
      for (const { end } of taken) assertEquals(end, taken[0]!.end);
      const { end, state } = taken[0]!;
      log = {
        tokens: Uint32Array.from([...log.tokens, ...end.tokens]),
        starts: [...log.starts, ...end.starts],
        runs: [...log.runs, ...end.runs],
        snapshot: null,
      };
      last = { state, setup: end.setup };
      const copy = await service.copy({ owner: client.owner, state });
      snapshots.push(copy!.bytes);
    }
  });
}
