/**
 * What a store does, in plain maps: every response has its own copy of all that came before it, and
 * there are no threads.
 *
 * @module
 */

/** A conversation. */
interface NaiveConversation {
  /** `turn`: its place in the log; `null`: not in it. */
  items: { readonly id: string; turn: number | null }[];
  /** The responses whose turns are in the log. */
  log: string[];
}

/** A response; `context`: those whose turns lead to it, itself the last, if it can be continued. */
interface NaiveResponse {
  status: string;
  context: string[] | null;
  readonly conversation: string | null;
}

/** A turn under way. */
interface NaiveTurn {
  readonly response: string;
  readonly conversation: string | null;
  readonly previous: string | null;
  readonly base: readonly string[];
}

/** The state of a store, and how each call changes it. */
export class NaiveStore {
  readonly conversations = new Map<string, NaiveConversation>();
  readonly responses = new Map<string, NaiveResponse>();
  readonly turns = new Map<string, NaiveTurn>();

  create(id: string): boolean {
    if (this.conversations.has(id)) return false;
    this.conversations.set(id, { items: [], log: [] });
    return true;
  }

  add(id: string, item: string): string {
    const conversation = this.conversations.get(id);
    if (!conversation) return "missing";
    if (this.#busy(id)) return "busy";
    conversation.items.push({ id: item, turn: null });
    return "done";
  }

  deleteItem(id: string, item: string): string {
    const conversation = this.conversations.get(id);
    const found = conversation?.items.find((one) => one.id === item);
    if (!conversation || !found) return "missing";
    if (this.#busy(id)) return "busy";
    conversation.items = conversation.items.filter((one) => one !== found);
    if (found.turn === null) return "done";
    const left = found.turn;
    conversation.log = conversation.log.slice(0, left);
    for (const one of conversation.items) {
      if (one.turn !== null && one.turn >= left) one.turn = null;
    }
    for (const response of this.responses.values()) {
      if (response.conversation !== id) continue;
      if ((response.context?.length ?? 0) > left) response.context = null;
    }
    return "done";
  }

  begin(
    response: string,
    to: { conversation?: string; previous?: string },
  ): string {
    const { conversation = null, previous = null } = to;
    let base: readonly string[] = [];
    if (conversation !== null) {
      const found = this.conversations.get(conversation);
      if (!found) return "missing";
      if (this.#busy(conversation)) return "busy";
      base = found.log;
    } else if (previous !== null) {
      if (this.turns.has(previous)) return "busy";
      const context = this.responses.get(previous)?.context;
      if (!context) return "missing";
      base = context;
    }
    this.turns.set(response, { response, conversation, previous, base });
    this.responses.set(response, {
      status: "in_progress",
      context: null,
      conversation,
    });
    return "begun";
  }

  commit(response: string): string {
    const turn = this.turns.get(response);
    if (!turn) return "gone";
    const { conversation, previous, base } = turn;
    if (previous !== null && !this.responses.get(previous)?.context) {
      return "gone";
    }
    this.turns.delete(response);
    const context = [...base, response];
    const body = this.responses.get(response)!;
    body.status = "completed";
    body.context = context;
    if (conversation === null) return "done";
    const of = this.conversations.get(conversation)!;
    of.log = context;
    for (const item of of.items) item.turn ??= base.length;
    for (const id of [`${response}_in`, `${response}_out`]) {
      of.items.push({ id, turn: base.length });
    }
    return "done";
  }

  abandon(response: string): void {
    if (this.turns.delete(response)) {
      this.responses.get(response)!.status = "failed";
    }
  }

  deleteConversation(id: string): string {
    if (!this.conversations.delete(id)) return "missing";
    for (const [response, { conversation }] of this.responses) {
      if (conversation !== id) continue;
      this.responses.delete(response);
      this.turns.delete(response);
    }
    return "done";
  }

  deleteResponse(id: string): string {
    this.turns.delete(id);
    return this.responses.delete(id) ? "done" : "missing";
  }

  /** The process ends, and another begins. */
  restart(): void {
    for (const response of [...this.turns.keys()]) this.abandon(response);
  }

  #busy(id: string): boolean {
    return this.turns.values().some(({ conversation }) => conversation === id);
  }
}
