/** What is said in a conversation that goes on: the same to everybody. @module */
import { createRandom, type Random } from "../../lib/sampling/random.ts";

const ASKS = [
  "Tell me something about",
  "What do you know about",
  "Why do people like",
  "How would you describe",
  "What comes to your mind about",
];
const THINGS =
  "the sea,an old book,winter,a small house,the river,green tea,a city at night,birds,the morning,clocks,gardens,bread,music,paper,a long road,rain,mountains,letters,lamps,apples"
    .split(",");

/** Questions without an end, by chance but the same each time. */
export function* questions(seed = 1): Generator<string, never, void> {
  const random = createRandom(seed);
  for (let number = 1;; number++) {
    const [one, other] = [pick(random, THINGS), pick(random, THINGS)];
    yield `Question ${number}: ${pick(random, ASKS)} ${one} and ${other}?`;
  }
}

function pick<T>(random: Random, from: readonly T[]): T {
  return from[Math.floor(random() * from.length)]!;
}
