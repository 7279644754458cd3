import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  choosePolicy,
  EVICTIONS,
  POLICY_NAMES,
  PolicyError,
  type PolicyOffer,
  samePolicy,
  USUAL_POLICIES,
} from "../../lib/cache/policy.ts";
import { RecomputedWindow } from "../../lib/cache/recomputed_window.ts";

const OFFER: PolicyOffer = {
  standard: "sink-window",
  allowed: POLICY_NAMES,
  sinks: 4,
  window: 100,
  evict: "token",
  room: { sinks: 8, window: 100 },
};

function rowsOf(...of: Parameters<typeof choosePolicy>): [number, number] {
  const { sinks, window } = choosePolicy(...of).rows;
  return [sinks, window];
}

Deno.test("what a request leaves out is the server's choice", () => {
  assertEquals(choosePolicy({}, OFFER).name, "sink-window");
  assertEquals(rowsOf({}, OFFER), [4, 100]);
  assertEquals(rowsOf({ window: 20 }, OFFER), [4, 20]);
  assertEquals(rowsOf({ sinks: 0 }, OFFER), [0, 100]);
  assertEquals(rowsOf({ policy: "window" }, OFFER), [0, 100]);
  assertEquals(rowsOf({ policy: "full", window: 7 }, OFFER), [0, 7]);
  const full = { ...OFFER, standard: "full" } as const;
  assertEquals(choosePolicy({}, full).name, "full");
  assertEquals(rowsOf({ policy: "sink-window" }, full), [4, 100]);
});

Deno.test("a window that is recomputed is told apart from one that is not", () => {
  const { rows } = choosePolicy({ policy: "window-recompute" }, OFFER);
  assert(rows instanceof RecomputedWindow);
  assertEquals([rows.sinks, rows.window], [0, 100]);
  const plain = choosePolicy({ policy: "window" }, OFFER);
  assert(!(plain.rows instanceof RecomputedWindow));
  assert(!USUAL_POLICIES.includes("window-recompute"));
  assertEquals(
    POLICY_NAMES.filter((name) => !USUAL_POLICIES.includes(name)).length,
    1,
  );
});

Deno.test("what leaves first is the server's choice or the request's, and nothing leaves of full", () => {
  const evict = (...of: Parameters<typeof choosePolicy>) =>
    choosePolicy(...of).evict;
  const turn = { ...OFFER, evict: "turn" } as const;
  assertEquals(evict({}, OFFER), "token");
  assertEquals(evict({}, turn), "turn");
  assertEquals(evict({ policy: "window", evict: "turn" }, OFFER), "turn");
  assertEquals(evict({ evict: "token" }, turn), "token");
  assertEquals(evict({ policy: "full" }, turn), "token");
  const { field } = assertThrows(
    () => choosePolicy({ policy: "full", evict: "turn" }, OFFER),
    PolicyError,
    "leave evict out",
  ) as PolicyError;
  assertEquals(field, "evict");
});

Deno.test("what does not fit or is not offered is refused by the field at fault", () => {
  const refused = (...of: Parameters<typeof choosePolicy>) =>
    assertThrows(() => choosePolicy(...of), PolicyError) as PolicyError;
  assertEquals(refused({ window: 101 }, OFFER).field, "window");
  assertEquals(refused({ window: 0 }, OFFER).field, "window");
  assertEquals(refused({ sinks: 9 }, OFFER).field, "sinks");
  assertEquals(refused({ sinks: 8, window: 7 }, OFFER).field, "sinks");
  assertEquals(refused({ policy: "window", sinks: 4 }, OFFER).field, "sinks");
  const allowed = ["window", "sink-window"] as const;
  const { field, message } = refused({ policy: "full" }, { ...OFFER, allowed });
  assertEquals(field, "policy");
  assertEquals(
    message,
    'This server does not offer policy "full", but window, sink-window',
  );
});

Deno.test("sinks that the server chose may be more than half, as a pinned system block is", () => {
  assertEquals(rowsOf({ window: 2 }, { ...OFFER, sinks: 8 }), [8, 2]);
});

Deno.test("every policy that is given fits its slot, and is the same as itself alone", () => {
  const request = fc.record({
    policy: fc.constantFrom(...POLICY_NAMES),
    sinks: fc.integer({ min: 0, max: 12 }),
    window: fc.integer({ min: 0, max: 120 }),
    evict: fc.constantFrom(...EVICTIONS),
  }, { requiredKeys: [] });
  fc.assert(fc.property(request, request, (a, b) => {
    const choose = (of: typeof a) => {
      try {
        return choosePolicy(of, OFFER);
      } catch (error) {
        if (error instanceof PolicyError) return null;
        throw error;
      }
    };
    const [one, other] = [choose(a), choose(b)];
    if (!one || !other) return;
    const { sinks, window } = one.rows;
    assertEquals(sinks <= 8 && window >= 1 && window <= 100, true);
    assertEquals(one.name === "sink-window" || sinks === 0, true);
    const key = ({ name, rows, evict }: typeof one) =>
      [name, rows.sinks, rows.window, evict].join();
    assertEquals(samePolicy(one, other), key(one) === key(other));
  }));
});
