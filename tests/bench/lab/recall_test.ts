import { assert, assertEquals, assertRejects } from "@std/assert";
import { createFacts, type Fact, factTexts } from "../../../bench/lab/facts.ts";
import {
  fullPolicy,
  type LabPolicy,
  sinkWindow,
} from "../../../bench/lab/policies.ts";
import {
  edgeOf,
  leastDistance,
  measureRecall,
} from "../../../bench/lab/recall.ts";
import { recallDistances } from "../../../bench/lab/recall_distances.ts";
import { SinkWindow } from "../../../lib/cache/sink_window.ts";
import { TOKENIZER } from "../../chat/scripted_decoder.ts";
import { rememberingModel } from "./remembering_model.ts";

const FACTS: Fact[] = [10, 20, 30].map((first) => ({
  prompt: [1, 2, 3],
  answer: [first, first + 1],
  tail: [4],
  distractors: [[40, 41], [42, 43], [44, 45]],
}));
/** No token of it is one of a fact. */
const TEXT = Array.from({ length: 200 }, (_, i) => 50 + i % 14);
const LEAD = 9;

function recallOf(policy: LabPolicy, distances: readonly number[]) {
  const given = { facts: FACTS, text: TEXT, lead: LEAD, distances };
  return measureRecall(rememberingModel(), policy, given);
}

Deno.test("what has left the window is forgotten, at the very token that the arithmetic says", async () => {
  for (const [sinks, window] of [[4, 24], [1, 30], [8, 40]] as const) {
    const distances = recallDistances(window, FACTS);
    const recall = await recallOf(sinkWindow(sinks, window), distances);
    assertEquals(recall.arithmeticEdge, window - 1);
    assertEquals(recall.measuredEdge?.last, window - 1);
    assertEquals(recall.measuredEdge?.next, window);
    for (const { distance, accuracy, margin } of recall.points) {
      assertEquals(accuracy, distance < window ? 1 : 0, `at ${distance}`);
      assertEquals(margin > 9, distance < window, `at ${distance}`);
    }
    assertEquals([recall.facts, recall.chance], [3, 1 / 4]);
  }
});

Deno.test("each answer is asked for right after the question, and the text goes on without either", async () => {
  const model = rememberingModel();
  const [fact] = FACTS;
  const given = { facts: [fact!], text: TEXT, lead: LEAD, distances: [8, 20] };
  await measureRecall(model, sinkWindow(4, 24), given);
  const told = [1, 2, 3, 10, 11, 4];
  const expected = given.distances.flatMap((distance) => {
    const question = [
      ...TEXT.slice(0, LEAD),
      ...told,
      ...TEXT.slice(LEAD, LEAD + distance - 5),
      ...[1, 2, 3],
    ];
    const answers = [10, 40, 42, 44].map((first) => [...question, first]);
    assertEquals(question.length - 1 - (LEAD + 3), distance);
    return [question, ...answers];
  });
  assertEquals(model.decoders[0]!.asked, expected);
});

Deno.test("full forgets nothing and has no edge", async () => {
  const recall = await recallOf(fullPolicy(200), recallDistances(40, FACTS));
  assertEquals([recall.arithmeticEdge, recall.measuredEdge], [null, null]);
  assert(recall.points.every(({ accuracy }) => accuracy === 1));
});

Deno.test("an edge counts the sinks as tokens that never leave, not as the window's", () => {
  const given = { facts: FACTS, lead: LEAD, distances: [50] };
  assertEquals(edgeOf(new SinkWindow(0, 20), given), 19);
  assertEquals(edgeOf(new SinkWindow(4, 20), given), 19);
  assertEquals(edgeOf(new SinkWindow(4, 51), given), null);
});

Deno.test("a fact is not asked for before it has ended", async () => {
  const least = leastDistance(FACTS[0]!);
  assertEquals(least, 5);
  await recallOf(sinkWindow(4, 24), [least, 30]);
  const early = () => recallOf(sinkWindow(4, 24), [least - 1, 30]);
  await assertRejects(early, RangeError, "the nearest is 5");
});

Deno.test("facts are the same each time, and no wrong number begins as the right one", () => {
  const texts = factTexts(20, { distractors: 7 });
  assertEquals(texts, factTexts(20, { distractors: 7 }));
  assert(new Set(texts.map(({ answer }) => answer)).size > 15);
  for (const { prompt, answer, distractors } of texts) {
    assert(/^\n\nThe secret number of [A-Z][a-z]+ is$/.test(prompt), prompt);
    const firsts = [answer, ...distractors].map((number) => {
      assert(/^ [1-9][0-9]{3}$/.test(number), number);
      return number[1];
    });
    assertEquals(new Set(firsts).size, 8);
  }
});

Deno.test("a fact's tokens are those of its text", () => {
  const [fact] = createFacts(TOKENIZER, 1, { distractors: 2 });
  const [text] = factTexts(1, { distractors: 2 });
  assertEquals(
    [...fact!.prompt, ...fact!.answer, ...fact!.tail],
    TOKENIZER.encode(text!.prompt + text!.answer + text!.tail),
  );
  assertEquals(fact!.distractors.length, 2);
});
