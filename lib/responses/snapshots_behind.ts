/** Writes a copy of each thread's cache behind its turns, the latest one where several wait. @module */
import { type ChatModel, UnavailableError } from "../chat/chat_model.ts";
import type { ThreadName } from "../chat/thread.ts";
import type { Position } from "../store/records.ts";
import type { Store } from "../store/store.ts";

/** A turn that was committed. */
export interface CommittedTurn extends ThreadName {
  readonly position: Position;
}

/** Copies caches from a model into a store. */
export class SnapshotsBehind {
  readonly #store: Pick<Store, "snapshots">;
  readonly #report: (error: unknown) => void;
  /** By thread, in the order in which they came. */
  readonly #waiting = new Map<number, () => Promise<void>>();
  #running = false;

  constructor(
    store: Pick<Store, "snapshots">,
    report: (error: unknown) => void,
  ) {
    this.#store = store;
    this.#report = report;
  }

  /** Copies the cache at the end of a turn, when it is this one's time and the model still has it. */
  add(model: ChatModel, { owner, state, position }: CommittedTurn): void {
    const { snapshots } = this.#store;
    const { thread, turn } = position;
    if (snapshots.capacity === 0) return;
    this.#waiting.delete(thread);
    this.#waiting.set(thread, async () => {
      const copy = await model.copy({ owner, state });
      if (copy) await snapshots.save(owner, turn, copy);
    });
    if (!this.#running) this.#run();
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (;;) {
      const [next] = this.#waiting;
      if (!next) break;
      const [thread, work] = next;
      this.#waiting.delete(thread);
      try {
        await work();
      } catch (error) {
        // A model that is being restarted has nothing to copy any more.
        if (!(error instanceof UnavailableError)) this.#report(error);
      }
    }
    this.#running = false;
  }
}
