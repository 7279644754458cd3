/**
 * Numbers between bounds, as grammar, digit by digit. Of numbers with equally many digits before the
 * point, the order is that of their texts, so a range is what lies between two texts: while the
 * digits so far are those of a bound, the next one is bounded by the bound's.
 *
 * At most 15 digits are written, which a double tells apart; a bound has no more either.
 *
 * @module
 */
import { choice, literal, oneOf, type Rules } from "./ebnf.ts";

/** Most digits of a number. */
const DIGITS = 15;

/** A bound's text without sign or leading zeros, and whether the number itself is excluded. */
interface Bound {
  /** Digits before the point. */
  readonly whole: string;
  /** Digits after it. */
  readonly fraction: string;
  readonly exclusive: boolean;
}

/** What a number must be. */
export interface NumberRange {
  readonly integer: boolean;
  readonly min: number;
  readonly max: number;
  readonly exclusiveMin: boolean;
  readonly exclusiveMax: boolean;
}

/** Any number, or any integer: with an exponent of at most two digits, if need be. */
export function anyNumber(integer: boolean): string {
  const whole = `"-"? ("0" | [1-9] [0-9]{0,${DIGITS - 1}})`;
  if (integer) return whole;
  return `${whole} ("." [0-9]{1,${DIGITS}})? ([eE] [+-]? [0-9]{1,2})?`;
}

/** Whether a bound can be used: not infinite, and with no more digits than there may be. */
export function isBound(value: number): boolean {
  return /^-?\d+(\.\d+)?$/.test(String(value)) &&
    String(value).replace(/[-.]/g, "").length <= DIGITS;
}

/**
 * Numbers in a range, without exponents; `null` if there are none.
 *
 * @param range its bounds infinite or such that {@linkcode isBound}
 */
export function numberBetween(
  range: NumberRange,
  rules: Rules,
): string | null {
  const { min, max, exclusiveMin, exclusiveMax, integer } = range;
  const sides: string[] = [];
  const side = (
    sign: string,
    [low, lowExclusive]: [number, boolean],
    [high, highExclusive]: [number, boolean],
  ) => {
    const bounds = {
      low: boundOf(Math.max(low, 0), low >= 0 && lowExclusive),
      high: boundOf(high, highExclusive),
    };
    const body = high < 0 ? null : magnitude(bounds, { integer, rules });
    if (body !== null) sides.push(`${sign}${body}`);
  };
  if (min < 0) side('"-" ', [-max, exclusiveMax], [-min, exclusiveMin]);
  side("", [min, exclusiveMin], [max, exclusiveMax]);
  return sides.length > 0 ? choice(sides) : null;
}

function boundOf(value: number, exclusive: boolean): Bound {
  if (value === Infinity) {
    return { whole: "9".repeat(DIGITS), fraction: "", exclusive: false };
  }
  const [whole = "", fraction = ""] = String(Math.abs(value)).split(".");
  return { whole, fraction, exclusive };
}

/** Numbers of 0 or more: for each count of digits before the point, those between the bounds. */
function magnitude(
  { low, high }: { low: Bound; high: Bound },
  of: { integer: boolean; rules: Rules },
): string | null {
  const bodies: string[] = [];
  for (let width = low.whole.length; width <= high.whole.length; width++) {
    const body = new Width(width, {
      low: low.whole.length === width ? low : null,
      high: high.whole.length === width ? high : null,
    }, of).body();
    if (body !== null) bodies.push(body);
  }
  return bodies.length > 0 ? of.rules.add(choice(bodies)) : null;
}

/** Numbers with so many digits before the point. */
class Width {
  readonly #width: number;
  readonly #low: Bound | null;
  readonly #high: Bound | null;
  /** Most digits after the point. */
  readonly #fraction: number;
  readonly #rules: Rules;

  constructor(
    width: number,
    { low, high }: { low: Bound | null; high: Bound | null },
    { integer, rules }: { integer: boolean; rules: Rules },
  ) {
    this.#width = width;
    this.#low = low;
    this.#high = high;
    this.#fraction = integer ? 0 : DIGITS - width;
    this.#rules = rules;
  }

  body(): string | null {
    return this.#from(0, {
      low: this.#low !== null,
      high: this.#high !== null,
    });
  }

  /** What may follow `place` digits, which are those of the bounds in `tight`; `null` if nothing. */
  #from(place: number, tight: { low: boolean; high: boolean }): string | null {
    if (!tight.low && !tight.high && place > 0) return this.#free(place);
    const ends = place >= this.#width && this.#mayEnd(place, tight);
    if (place === this.#width + this.#fraction) return ends ? '""' : null;
    const lowest = tight.low ? digitAt(this.#low!, place) : this.#first(place);
    const highest = tight.high ? digitAt(this.#high!, place) : 9;
    const bodies: string[] = [];
    const add = (first: number, last: number, next: typeof tight) => {
      if (first > last) return;
      const rest = this.#from(place + 1, next);
      const digits = oneOf([[first + 48, last + 48]]);
      if (rest !== null) {
        bodies.push(rest === '""' ? digits : `${digits} ${rest}`);
      }
    };
    if (lowest === highest) add(lowest, lowest, tight);
    else if (lowest < highest) {
      const inner = [lowest + Number(tight.low), highest - Number(tight.high)];
      if (tight.low) add(lowest, lowest, { low: true, high: false });
      add(inner[0]!, inner[1]!, { low: false, high: false });
      if (tight.high) add(highest, highest, { low: false, high: true });
    }
    if (bodies.length === 0) return ends ? '""' : null;
    const digits = choice(bodies);
    const next = place === this.#width ? `${literal(".")} ${digits}` : digits;
    return this.#rules.add(ends ? `(${next})?` : next);
  }

  /** Digits without bounds. */
  #free(place: number): string {
    const whole = Math.max(this.#width - place, 0);
    const fraction = this.#fraction - Math.max(place - this.#width, 0);
    const point = place > this.#width ? "" : '"." ';
    const digits = `[0-9]{${point === "" ? 0 : 1},${fraction}}`;
    const after = fraction === 0
      ? '""'
      : point === ""
      ? digits
      : `(${point}${digits})?`;
    return whole === 0 ? after : `[0-9]{${whole},${whole}} ${after}`;
  }

  /** No number of several digits begins with 0. */
  #first(place: number): number {
    return place === 0 && this.#width > 1 ? 1 : 0;
  }

  /** Whether a number that stops here, all zeros after it, lies within the bounds. */
  #mayEnd(place: number, tight: { low: boolean; high: boolean }): boolean {
    const low = !tight.low ||
      (onlyZeros(this.#low!, place) && !this.#low!.exclusive);
    const high = !tight.high ||
      !(onlyZeros(this.#high!, place) && this.#high!.exclusive);
    return low && high;
  }
}

function digitAt({ whole, fraction }: Bound, place: number): number {
  return Number((whole + fraction)[place] ?? 0);
}

function onlyZeros({ whole, fraction }: Bound, place: number): boolean {
  return /^0*$/.test((whole + fraction).slice(place));
}
