/**
 * Turns: how threads grow. A turn goes on from the end of a conversation, from a response, or from
 * nothing; of each thread at most one is under way.
 *
 * @module
 */
import { sha256OfText } from "../models/sha256.ts";
import { pendingItems } from "./items.ts";
import type { Parts } from "./parts.ts";
import { headOf, positionOf, threadOf } from "./positions.ts";
import type { Item, Log, LoggedTurn, ResponseBody, Setup } from "./records.ts";
import { type Start, Turn } from "./turn.ts";

/** What a turn is asked for with. */
export interface TurnRequest {
  /** The response as it is now: in progress, with an id that is new. */
  readonly body: ResponseBody;
  readonly input: readonly Item[];
  /** The conversation or the previous response that it goes on from; `null`: neither. */
  readonly continues:
    | { readonly conversation: string }
    | { readonly response: string }
    | null;
  /** For a request that must not be done twice. */
  readonly once?: Once;
}

/** How a request is told from its retries. */
export interface Once {
  /** The same for all retries. */
  readonly key: string;
  /** A digest of what is asked. */
  readonly fingerprint: string;
  /** Whether it is known to be no retry: what was known by this key is forgotten. */
  readonly first?: boolean;
  /** Milliseconds after its end for which it is known; by default, a day from its beginning. */
  readonly knownFor?: number;
}

/** A turn that has begun, or why none has. */
export type Begun =
  | { readonly outcome: "begun"; readonly turn: Turn }
  /** The conversation has a turn under way, or the previous response is. */
  | { readonly outcome: "busy" }
  /** There is nothing of that name that could be continued. */
  | { readonly outcome: "missing" }
  /** The same request was made before: this response is what it has come to, or comes to. */
  | { readonly outcome: "repeated"; readonly response: string }
  /** Another request was made with the same key. */
  | { readonly outcome: "key-reused" };

/** Milliseconds for which requests are told from their retries, and events can be read again. */
export const KEPT_MS = 24 * 3600 * 1000;

/** Most of what is older than that is removed by a turn's beginning, which must not wait for all. */
const FORGOTTEN_AT_ONCE = 100;

const INTERRUPTED = JSON.stringify({
  code: "server_error",
  message: "The server stopped before the response was complete: ask again",
});

/** All turns, those under way and those in logs. */
export class Turns {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * Begins a turn, and its response.
   *
   * From the latest response of a chain it goes on in place; from an older one, from one that
   * another turn goes on from already, or from one of a conversation, it branches.
   */
  begin(owner: string, request: TurnRequest): Begun {
    const { db, underWay, now } = this.#parts;
    this.#forgetOld();
    const { body, input, continues, once } = request;
    const key = once ? sha256OfText(once.key) : null;
    const earlier = once && this.#earlier(owner, key!, once);
    if (earlier) {
      return earlier.fingerprint === once!.fingerprint
        ? { outcome: "repeated", response: earlier.response }
        : { outcome: "key-reused" };
    }
    const start = this.start(owner, continues);
    if (typeof start === "string") return { outcome: start };
    const turn = new Turn(this.#parts, {
      owner,
      response: body.id,
      input,
      start,
    });
    db.transaction(() => {
      db.run(
        "INSERT INTO responses (owner, id, thread, body, input) VALUES (?, ?, ?, ?, ?)",
        owner,
        body.id,
        start.conversation,
        JSON.stringify(body),
        JSON.stringify(input),
      );
      if (!once) return;
      db.run(
        "INSERT INTO requests (owner, key, fingerprint, response, at) VALUES (?, ?, ?, ?, ?)",
        owner,
        key,
        once.fingerprint,
        body.id,
        now(),
      );
    });
    underWay.add(turn);
    return { outcome: "begun", turn };
  }

  /** One turn's part of the token log; `null` if there is no such turn. */
  read(owner: string, turn: number): LoggedTurn | null {
    const row = this.#parts.db.get<TurnRow>(
      `SELECT tokens, boundaries FROM turns JOIN threads ON threads.id = thread
       WHERE owner = ? AND turns.id = ?`,
      owner,
      turn,
    );
    return row && loggedTurn(row);
  }

  /** The token log of a thread up to the end of `turn`; `null` if there is no such turn. */
  log(owner: string, turn: number): Log | null {
    const { db } = this.#parts;
    const position = positionOf(db, owner, turn);
    if (!position) return null;
    const { thread, number } = position;
    const turns = db.all<TurnRow>(
      `SELECT tokens, boundaries FROM turns
       WHERE thread = ? AND number <= ? ORDER BY number`,
      thread,
      number,
    );
    return { setup: this.#setup(thread)!, turns: turns.map(loggedTurn) };
  }

  /** Ends, as failed, the responses that were in progress when the process before this one ended. */
  failInterrupted(): void {
    const { db, now } = this.#parts;
    db.transaction(() => {
      db.run(
        `DELETE FROM requests WHERE (owner, response) IN
           (SELECT owner, id FROM responses WHERE ended_at IS NULL)`,
      );
      db.run(
        `UPDATE responses SET ended_at = ?,
           body = json_set(body, '$.status', 'failed', '$.error', json(?))
         WHERE ended_at IS NULL`,
        now(),
        INTERRUPTED,
      );
    });
  }

  /** Where a turn would begin; nothing has changed. */
  start(
    owner: string,
    continues: TurnRequest["continues"],
  ): Start | "missing" | "busy" {
    if (continues === null) return NOTHING;
    return "conversation" in continues
      ? this.#startOfConversation(owner, continues.conversation)
      : this.#startOfResponse(owner, continues.response);
  }

  #startOfConversation(
    owner: string,
    conversation: string,
  ): Start | "missing" | "busy" {
    const { db, underWay } = this.#parts;
    const thread = threadOf(db, owner, conversation);
    if (thread === null) return "missing";
    if (underWay.busy(thread)) return "busy";
    return {
      thread,
      conversation: thread,
      base: headOf(db, thread),
      previous: null,
      setup: this.#setup(thread),
      pending: pendingItems(db, thread),
    };
  }

  #startOfResponse(
    owner: string,
    previous: string,
  ): Start | "missing" | "busy" {
    const { db, underWay } = this.#parts;
    if (underWay.of(owner, previous)) return "busy";
    const row = db.get<{ turn: number; conversation: string | null }>(
      `SELECT turn, conversation FROM responses JOIN threads ON threads.id = thread
       WHERE responses.owner = ? AND responses.id = ? AND turn IS NOT NULL`,
      owner,
      previous,
    );
    if (!row) return "missing";
    const base = positionOf(db, owner, row.turn)!;
    const { thread } = base;
    const inPlace = row.conversation === null && !underWay.busy(thread) &&
      headOf(db, thread)!.turn === base.turn;
    return {
      ...NOTHING,
      thread: inPlace ? thread : null,
      base,
      previous,
      setup: this.#setup(thread),
    };
  }

  #setup(thread: number): Setup | null {
    const { setup } = this.#parts.db.get<{ setup: string | null }>(
      "SELECT setup FROM threads WHERE id = ?",
      thread,
    )!;
    return setup === null ? null : JSON.parse(setup);
  }

  #earlier(
    owner: string,
    key: string,
    { first = false, knownFor = Infinity }: Once,
  ): { fingerprint: string; response: string } | null {
    const { db, now } = this.#parts;
    const earlier = db.get<
      {
        fingerprint: string;
        response: string;
        at: number;
        ended: number | null;
      }
    >(
      `SELECT fingerprint, response, at, ended_at AS ended FROM requests
       LEFT JOIN responses ON responses.owner = requests.owner AND responses.id = response
       WHERE requests.owner = ? AND key = ?`,
      owner,
      key,
    );
    if (!earlier) return null;
    const { at, ended, ...request } = earlier;
    const known = !first && now() - at <= KEPT_MS &&
      now() - (ended ?? now()) <= knownFor;
    if (known) return request;
    db.run("DELETE FROM requests WHERE owner = ? AND key = ?", owner, key);
    return null;
  }

  #forgetOld(): void {
    const { db, now } = this.#parts;
    const before = now() - KEPT_MS;
    db.run(
      `DELETE FROM requests WHERE (owner, key) IN
         (SELECT owner, key FROM requests WHERE at < ? LIMIT ?)`,
      before,
      FORGOTTEN_AT_ONCE,
    );
    db.run(
      `UPDATE responses SET events = NULL WHERE rowid IN
         (SELECT rowid FROM responses WHERE events IS NOT NULL AND ended_at < ? LIMIT ?)`,
      before,
      FORGOTTEN_AT_ONCE,
    );
  }
}

interface TurnRow {
  tokens: Uint8Array;
  boundaries: string;
}

function loggedTurn({ tokens, boundaries }: TurnRow): LoggedTurn {
  return {
    tokens: new Uint32Array(tokens.slice().buffer),
    boundaries: JSON.parse(boundaries),
  };
}

const NOTHING: Start = {
  thread: null,
  conversation: null,
  base: null,
  previous: null,
  setup: null,
  pending: [],
};
