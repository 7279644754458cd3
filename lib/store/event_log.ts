/**
 * The events of one response's stream, so that a client who lost the connection can go on reading
 * where it stopped: the last ones, up to a number of bytes.
 *
 * @module
 */
import { cancellable } from "../chat/cancellable.ts";
import type { StreamEvent } from "./records.ts";

/** Events in order; readers wait for those to come. */
export class EventLog {
  readonly #most: number;
  readonly #lines: string[] = [];
  #length = 0;
  #next = 0;
  #ended: { error: unknown } | null = null;
  #changed = Promise.withResolvers<void>();

  /** @param most UTF-16 units that are kept, the oldest events forgotten first */
  constructor(most: number) {
    this.#most = most;
  }

  /** Restores the log of a response that has ended. */
  static ended(from: number, text: string): EventLog {
    const log = new EventLog(Infinity);
    log.#next = from;
    for (const line of text.split("\n")) log.#push(line);
    log.end();
    return log;
  }

  /** Sequence number of the first event that is kept. */
  get from(): number {
    return this.#next - this.#lines.length;
  }

  /** All events that are kept, a line each; `null` if there are none. */
  get text(): string | null {
    return this.#lines.length === 0 ? null : this.#lines.join("\n");
  }

  /** @throws {RangeError} if its number is not the next one */
  append(event: StreamEvent): void {
    if (event.sequence_number !== this.#next) {
      throw new RangeError(
        `Cannot append event ${event.sequence_number}: the next one is ${this.#next}`,
      );
    }
    this.#push(JSON.stringify(event));
    while (this.#length > this.#most) {
      this.#length -= this.#lines.shift()!.length;
    }
    this.#wake();
  }

  /** Takes back the last event, which no reader can have come to yet. */
  retract(): void {
    this.#length -= this.#lines.pop()!.length;
    this.#next--;
  }

  /** Lets readers end behind the last event, or throw there what is given. */
  end(error: unknown = null): void {
    this.#ended ??= { error };
    this.#wake();
  }

  /**
   * Reads the events after number `after` (-1: all), those to come too. `return()` ends it at once.
   *
   * @throws {RangeError} if the next one to read is not kept any more
   */
  follow(after: number): AsyncGenerator<StreamEvent, void, void> {
    return cancellable((signal) => this.#follow(after + 1, signal));
  }

  async *#follow(
    next: number,
    signal: AbortSignal,
  ): AsyncGenerator<StreamEvent, void, void> {
    signal.addEventListener("abort", () => this.#wake(), { once: true });
    while (!signal.aborted) {
      if (next < this.from) {
        throw new RangeError(
          `Cannot read event ${next}: the first that is kept is ${this.from}`,
        );
      }
      const line = this.#lines[next - this.from];
      if (line !== undefined) {
        yield JSON.parse(line);
        next++;
      } else if (this.#ended) {
        if (this.#ended.error) throw this.#ended.error;
        return;
      } else await this.#changed.promise;
    }
  }

  #push(line: string): void {
    this.#lines.push(line);
    this.#length += line.length;
    this.#next++;
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
