import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { SinkWindow } from "../../lib/cache/sink_window.ts";
import {
  type GpuSnapshot,
  History,
  snapshotOf,
} from "../../lib/decoder/gpu/history.ts";

const POLICY = new SinkWindow(2, 6);

/** A copy after `seen` tokens, whose bytes come when the test says so. */
function copyAfter(seen: number) {
  const { promise, resolve, reject } = Promise.withResolvers<ArrayBuffer>();
  const copy: GpuSnapshot = {
    policy: POLICY,
    seen,
    boundaries: [],
    bytes: 8,
    rows: 8,
    layout: "any",
    data: promise,
    way: null,
  };
  return {
    copy,
    arrive: () => resolve(new ArrayBuffer(8)),
    fail: () => reject(new Error("lost")),
  };
}

function stateOf({ copy, tokens, copying }: History) {
  return { copied: copy?.seen ?? 0, tokens: [...tokens], copying };
}

Deno.test("a conversation's way back: a new one begins with its tokens, another one with its copy", () => {
  const history = new History(null);
  assertEquals(history.copy, null);
  history.append([1, 2]);
  history.append([3]);
  assertEquals(stateOf(history), {
    copied: 0,
    tokens: [1, 2, 3],
    copying: false,
  });
  const { copy } = copyAfter(5);
  const restored = new History(copy);
  restored.append([6]);
  assertEquals(restored.copy, copy);
  assertEquals(stateOf(restored), { copied: 5, tokens: [6], copying: false });
});

Deno.test("a conversation's way back: a copy counts once its bytes are there, with the tokens that came meanwhile", async () => {
  const earlier = copyAfter(2).copy;
  const history = new History(earlier);
  history.append([3, 4]);
  const later = copyAfter(4);
  const restarted = history.restart(later.copy);
  history.append([5]);
  assertEquals(history.copy, earlier);
  assertEquals(stateOf(history), {
    copied: 2,
    tokens: [3, 4, 5],
    copying: true,
  });
  later.arrive();
  await restarted;
  assertEquals(history.copy, later.copy);
  assertEquals(stateOf(history), { copied: 4, tokens: [5], copying: false });
  history.append([6]);
  assertEquals(history.tokens, [5, 6]);
});

Deno.test("a conversation's way back: a copy that never arrives leaves the earlier one with all tokens since", async () => {
  const earlier = copyAfter(2).copy;
  const history = new History(earlier);
  history.append([3]);
  const lost = copyAfter(3);
  const restarted = history.restart(lost.copy);
  history.append([4]);
  lost.fail();
  await restarted;
  assertEquals(history.copy, earlier);
  assertEquals(stateOf(history), { copied: 2, tokens: [3, 4], copying: false });
  const second = copyAfter(4);
  second.arrive();
  await history.restart(second.copy);
  assertEquals(stateOf(history), { copied: 4, tokens: [], copying: false });
});

Deno.test("a conversation's way back: a copy of tokens that were taken back meanwhile is left aside", async () => {
  for (const fate of ["arrive", "fail"] as const) {
    const history = new History(null);
    history.append([1, 2, 3]);
    const late = copyAfter(3);
    const restarted = history.restart(late.copy);
    history.rewind(2);
    history.append([7, 8]); // more of them than were copied
    late[fate]();
    await restarted;
    assertEquals(stateOf(history), {
      copied: 0,
      tokens: [1, 2, 7, 8],
      copying: false,
    });
  }
});

Deno.test("a conversation's way back: a copy keeps the way to it as it was, until its bytes are there", async () => {
  for (const fate of ["arrive", "fail"] as const) {
    const history = new History(copyAfter(2).copy);
    history.append([3, 4]);
    const later = copyAfter(4);
    const { way } = history;
    const snapshot = snapshotOf({ ...later.copy, way });
    history.append([5]);
    history.rewind(3);
    assertEquals(snapshot.way!.copy, history.copy);
    assertEquals(snapshot.way!.tokens, [3, 4]);
    later[fate]();
    await snapshot.data.catch(() => {});
    assertEquals(snapshot.way, fate === "arrive" ? null : way);
    assertEquals([snapshot.seen, snapshot.rows], [4, 8]);
  }
});

Deno.test("a conversation's way back: it may begin with a copy and tokens, which stay the caller's", () => {
  const { copy } = copyAfter(2);
  const tokens = [3, 4];
  const history = new History(copy, { tokens, boundaries: [] });
  history.append([5]);
  assertEquals(stateOf(history).tokens, [3, 4, 5]);
  assertEquals(tokens, [3, 4]);
});

Deno.test("a conversation's way back: messages lie behind the copy, at the conversation's positions", async () => {
  const history = new History(copyAfter(2).copy);
  history.append([3, 4, 5], [0, 2]);
  history.append([6], [0]);
  const { way } = history;
  assertEquals(way.boundaries, [2, 4, 5]);
  const later = copyAfter(6);
  const restarted = history.restart(later.copy);
  history.append([7, 8], [1]);
  later.arrive();
  await restarted;
  assertEquals(history.way.boundaries, [7]);
  history.append([9], [0]);
  history.rewind(8);
  assertEquals(history.way.boundaries, [7]);
  assertEquals(way.boundaries, [2, 4, 5]);
  const told = { ...copyAfter(6).copy, boundaries: [1, 5] };
  const rewound = new History(told, { tokens: [7], boundaries: [6] });
  rewound.rewind(5);
  assertEquals([rewound.way.boundaries, rewound.copy!.boundaries], [[], [1]]);
});

Deno.test("a conversation's way back: whatever is appended, taken back and copied, copy and tokens make up the conversation", async () => {
  const actions = fc.array(
    fc.oneof(
      fc.record({ kind: fc.constant("append" as const), count: fc.nat(4) }),
      fc.record({
        kind: fc.constant("rewind" as const),
        share: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
      fc.record({ kind: fc.constantFrom("restart", "arrive", "fail") }),
    ),
    { maxLength: 40 },
  );
  await fc.assert(
    fc.asyncProperty(fc.nat(3), actions, async (first, actions) => {
      // What each copy is a copy of: a copy's tokens lie before the history's.
      const contents = new Map<Promise<ArrayBuffer>, number[]>();
      const start = copyAfter(first);
      const conversation = Array.from({ length: first }, (_, i) => -i);
      contents.set(start.copy.data, [...conversation]);
      const history = new History(first > 0 ? start.copy : null);
      let pending: (ReturnType<typeof copyAfter> & { done: Promise<void> })[] =
        [];
      let next = 1;
      for (const action of actions) {
        if ("count" in action) {
          const tokens = Array.from({ length: action.count }, () => next++);
          conversation.push(...tokens);
          history.append(tokens);
        } else if ("share" in action) {
          conversation.length = Math.floor(action.share * conversation.length);
          history.rewind(conversation.length);
        } else if (action.kind === "restart") {
          if (history.copying) continue;
          const later = copyAfter(conversation.length);
          contents.set(later.copy.data, [...conversation]);
          pending.push({ ...later, done: history.restart(later.copy) });
        } else {
          for (const copy of pending) {
            copy[action.kind as "arrive" | "fail"]();
            await copy.done;
          }
          pending = [];
        }
        const { copy, tokens } = history;
        const copied = copy ? contents.get(copy.data)!.slice(0, copy.seen) : [];
        assertEquals([...copied, ...tokens], conversation);
        assertEquals(history.copying, pending.length > 0);
      }
      for (const copy of pending) {
        copy.arrive();
        await copy.done;
      }
    }),
  );
});
