import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { KV_BITS, sameFormat } from "../../lib/cache/cache_format.ts";
import {
  choosePolicy,
  EVICTIONS,
  formatOf,
  hasSinks,
  offeredFormats,
  POLICY_NAMES,
  PolicyError,
  type PolicyName,
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
  formats: [
    { kvBits: 32, layered: false },
    { kvBits: 8, layered: false },
    { kvBits: 4, layered: true },
    { kvBits: 16, layered: true },
  ],
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
    POLICY_NAMES.filter((name) => !USUAL_POLICIES.includes(name)),
    ["window-recompute", "simplayer"],
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

Deno.test("rows have the first bits that their policy can have, or those asked for", () => {
  const format = (...of: Parameters<typeof choosePolicy>) => {
    const { kvBits, layered } = formatOf(choosePolicy(...of));
    return [kvBits, layered];
  };
  assertEquals(format({}, OFFER), [32, false]);
  assertEquals(format({ kvBits: 8 }, OFFER), [8, false]);
  assertEquals(format({ policy: "simplayer" }, OFFER), [4, true]);
  assertEquals(format({ policy: "simplayer", kvBits: 16 }, OFFER), [16, true]);
  // What leaves first and how rows are kept goes with every policy.
  for (const policy of POLICY_NAMES) {
    const formats = KV_BITS.flatMap((kvBits) =>
      [true, false].map((layered) => ({ kvBits, layered }))
    );
    for (const kvBits of KV_BITS) {
      const chosen = choosePolicy({ policy, kvBits }, { ...OFFER, formats });
      assertEquals(chosen.kvBits, kvBits);
      if (policy === "full") continue;
      const asked = { policy, evict: "turn" } as const;
      assertEquals(choosePolicy(asked, OFFER).evict, "turn");
    }
  }
});

Deno.test("policies that differ in bits alone are not the same", () => {
  const [one, other] = [
    choosePolicy({}, OFFER),
    choosePolicy({ kvBits: 8 }, OFFER),
  ];
  assertEquals([samePolicy(one, one), samePolicy(one, other)], [true, false]);
});

Deno.test("bits that are not offered are refused by name, with those that are", () => {
  const { field, message } = assertThrows(
    () => choosePolicy({ kvBits: 16 }, OFFER),
    PolicyError,
  ) as PolicyError;
  assertEquals(field, "kv_bits");
  assertEquals(
    message,
    'This server does not keep policy "sink-window" in rows of 16 bits (kv_bits), but of 32, 8',
  );
  assertThrows(
    () => choosePolicy({ policy: "simplayer", kvBits: 32 }, OFFER),
    PolicyError,
    "but of 4, 16",
  );
});

Deno.test("a server has caches of all bits, layered ones only for who needs them, the standard first", () => {
  const formats = (standard: PolicyName, ...others: PolicyName[]) =>
    offeredFormats({ standard, allowed: [...others, standard] }, [8, 32])
      .map(({ kvBits, layered }) => `${kvBits}${layered ? " layered" : ""}`);
  assertEquals(formats("window", "full", "sink-window"), ["8", "32"]);
  assertEquals(formats("simplayer"), ["8 layered", "32 layered"]);
  assertEquals(formats("simplayer", "full"), [
    "8 layered",
    "32 layered",
    "8",
    "32",
  ]);
  assertEquals(formats("full", "simplayer"), [
    "8",
    "32",
    "8 layered",
    "32 layered",
  ]);
});

Deno.test("simplayer has sinks and a window", () => {
  const policy = choosePolicy({ policy: "simplayer", sinks: 2 }, OFFER);
  assertEquals([policy.rows.sinks, policy.rows.window], [2, 100]);
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
    kvBits: fc.constantFrom(...KV_BITS),
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
    assertEquals(hasSinks(one.name) || sinks === 0, true);
    assert(OFFER.formats.some((of) => sameFormat(of, formatOf(one))));
    const key = ({ name, rows, evict, kvBits }: typeof one) =>
      [name, rows.sinks, rows.window, evict, kvBits].join();
    assertEquals(samePolicy(one, other), key(one) === key(other));
  }));
});
