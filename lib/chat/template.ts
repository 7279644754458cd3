/**
 * Messages to prompt, by the chat template that a model file brings (Jinja).
 *
 * A template writes control tokens as text (`<|im_start|>`), and a user can type the same text. So
 * that only the template's become tokens, such text inside messages is broken up by a Unicode
 * noncharacter while the template runs: what then still reads as a control token is the
 * template's. Text at a message's edges that two messages, or a message and the template, could
 * complete to a control token is broken up as well.
 *
 * @module
 */
import { Template } from "@huggingface/jinja";
import type { Piece, Tokenizer } from "../text/tokenizer.ts";
import { type ChatMessage, RequestError, type Tool } from "./chat_model.ts";
import { ControlTexts } from "./control_texts.ts";
import { jinjaMessage, jinjaTool, WIRE_WORDS } from "./jinja_values.ts";
import { TOOL_CALL_START } from "./tool_calls.ts";

/** Renders messages to prompts. */
export interface ChatTemplate {
  /**
   * Ids of the control tokens with which messages begin, as far as that can be told from how the
   * template puts one message behind another; what it puts before the first belongs to that.
   */
  readonly openers: ReadonlySet<number>;
  /** Whether it tells the model of tools, and writes calls as {@linkcode ToolCallReader} reads them. */
  readonly toolCalls: boolean;
  /**
   * The prompt for these messages, with `addGenerationPrompt` up to where the answer begins.
   *
   * @throws {RequestError} if the template refuses the messages, or the prompt would be too long.
   */
  render(messages: readonly ChatMessage[], options: RenderOptions): Piece[];
  /**
   * What comes behind an answer when these messages follow it, with `addGenerationPrompt` up to where
   * the next answer begins; nothing of what came before the answer is needed.
   *
   * @throws {RequestError} as {@linkcode ChatTemplate.render}, and if the template rewrites what came
   * before.
   */
  renderBehind(
    messages: readonly ChatMessage[],
    options: Pick<RenderOptions, "addGenerationPrompt">,
  ): Piece[];
  /**
   * The prompt's leading system block: what the template renders for the leading system message
   * alone, or without one, the block that it inserts by itself. `null` where the whole prompt does
   * not begin with it, or where that cannot be told.
   *
   * @param given.rendered canonical text of these messages, if they were rendered already
   * @throws {RequestError} as {@linkcode ChatTemplate.render}.
   */
  renderSystemBlock(
    messages: readonly ChatMessage[],
    given?: { rendered?: string; tools?: readonly Tool[] | undefined },
  ): Piece[] | null;
}

/** How {@linkcode ChatTemplate.render} renders. */
export interface RenderOptions {
  /** Whether to end with the beginning of the assistant's answer. */
  addGenerationPrompt: boolean;
  /** What the model may call. */
  tools?: readonly Tool[] | undefined;
}

/** Most UTF-16 units that messages, and a prompt, may have. */
const MAX_LENGTH = 16 * 1024 * 1024;

/** The noncharacters U+FDD0…U+FDEF: never assigned, and JSON and trimming leave them alone. */
const NONCHARACTERS: readonly string[] = Array.from(
  { length: 32 },
  (_, i) => String.fromCharCode(0xfdd0 + i),
);

/** Marks a control token in {@linkcode canonicalText}: well-formed text never contains it. */
const MARK = "\uDC00";

/**
 * Compiles a chat template.
 *
 * @param source The template, GGUF's `tokenizer.chat_template`.
 * @param tokenizer Says which texts are control tokens.
 * @throws {SyntaxError} if the template cannot be parsed.
 */
export function createChatTemplate(
  source: string,
  tokenizer: Tokenizer,
): ChatTemplate {
  try {
    return new JinjaChatTemplate(new Template(source), tokenizer);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SyntaxError(`Cannot parse tokenizer.chat_template: ${reason}`, {
      cause: error,
    });
  }
}

class JinjaChatTemplate implements ChatTemplate {
  readonly openers: ReadonlySet<number>;
  readonly toolCalls: boolean;
  readonly #template: Template;
  readonly #controls: ControlTexts;
  readonly #tokens: Record<string, string>;

  constructor(template: Template, tokenizer: Tokenizer) {
    this.#template = template;
    this.#controls = new ControlTexts(tokenizer);
    const [eos] = tokenizer.endIds;
    this.#tokens = {
      bos_token: this.#controls.textOf(tokenizer.bos),
      eos_token: this.#controls.textOf(eos),
    };
    this.openers = this.#findOpeners(tokenizer.endIds);
    this.toolCalls = this.#findToolCalls();
  }

  render(
    messages: readonly ChatMessage[],
    { addGenerationPrompt, tools = [] }: RenderOptions,
  ): Piece[] {
    const values = {
      messages: messages.map(jinjaMessage),
      // Templates ask whether there are tools, and an empty list counts as some to a few of them.
      ...(tools.length > 0 ? { tools: tools.map(jinjaTool) } : {}),
    };
    const noncharacter = pickNoncharacter(values);
    const text = this.#run({
      ...this.#tokens,
      ...this.#breakUp(values, noncharacter) as typeof values,
      add_generation_prompt: addGenerationPrompt,
    });
    return this.#controls.split(text).flatMap((piece): Piece[] => {
      if (!("text" in piece)) return [piece];
      const plain = piece.text.replaceAll(noncharacter, "");
      return plain === "" ? [] : [{ text: plain }];
    });
  }

  renderBehind(
    messages: readonly ChatMessage[],
    options: Pick<RenderOptions, "addGenerationPrompt">,
  ): Piece[] {
    const asked: ChatMessage = { role: "user", content: "user" };
    const answer: ChatMessage = { role: "assistant", content: "assistant" };
    const prompt = this.render([asked], { addGenerationPrompt: true });
    const before = canonicalText(prompt) + answer.content;
    const whole = canonicalText(
      this.render([asked, answer, ...messages], options),
    );
    if (!whole.startsWith(before)) {
      throw new RequestError(
        "The model's chat template rewrites earlier messages, so that no conversation can be " +
          "continued: send all messages to /v1/chat/completions",
      );
    }
    return piecesOf(whole.slice(before.length));
  }

  renderSystemBlock(
    messages: readonly ChatMessage[],
    { rendered, tools }: {
      rendered?: string;
      tools?: readonly Tool[] | undefined;
    } = {},
  ): Piece[] | null {
    const [first] = messages;
    if (!first) return null;
    const whole = rendered ?? canonicalText(
      this.render(messages, { addGenerationPrompt: false, tools }),
    );
    const block = first.role === "system"
      ? this.#tryRender([first], { tools })
      : this.#defaultBlock(first, tools);
    return block && whole.startsWith(block) ? piecesOf(block) : null;
  }

  /**
   * The block that the template inserts where there is no system message: what it puts before a
   * message, less what it puts before the same message after a system message.
   */
  #defaultBlock(
    first: ChatMessage,
    tools: readonly Tool[] | undefined,
  ): string | null {
    const system: ChatMessage = { role: "system", content: "system" };
    const alone = this.#tryRender([first], { tools });
    const block = this.#tryRender([system], { tools });
    const both = this.#tryRender([system, first], { tools });
    if (alone === null || block === null || !both?.startsWith(block)) {
      return null;
    }
    const message = both.slice(block.length);
    return alone.endsWith(message)
      ? alone.slice(0, alone.length - message.length)
      : null;
  }

  /** What comes first in each role's message, and in the answer, behind others and the tokens that end them. */
  #findOpeners(ends: ReadonlySet<number>): Set<number> {
    const of = (role: ChatMessage["role"]): ChatMessage => ({
      role,
      content: role,
    });
    const asked = [of("user")];
    const answered = [...asked, of("assistant")];
    const behind = (
      before: ChatMessage[],
      after: ChatMessage[],
      addGenerationPrompt = false,
    ) => {
      const shorter = this.#tryRender(before);
      const longer = this.#tryRender(after, { addGenerationPrompt });
      return shorter !== null && longer?.startsWith(shorter)
        ? piecesOf(longer.slice(shorter.length))
        : [];
    };
    const openers = new Set<number>();
    for (
      const pieces of [
        behind(asked, answered),
        behind(asked, asked, true),
        ...(["user", "system", "tool"] as const).map((role) =>
          behind(answered, [...answered, of(role)])
        ),
      ]
    ) {
      const first = pieces.find((piece) =>
        "special" in piece ? !ends.has(piece.special) : piece.text.trim() !== ""
      );
      if (first && "special" in first) openers.add(first.special);
    }
    return openers;
  }

  #findToolCalls(): boolean {
    const name = "everstream_call";
    const description = "everstream_tool";
    const call = { id: "1", name, arguments: {} };
    const text = this.#tryRender([
      { role: "user", content: "user" },
      { role: "assistant", content: "", toolCalls: [call] },
    ], { tools: [{ name, description }] });
    return text !== null && text.includes(description) &&
      text.slice(text.lastIndexOf(TOOL_CALL_START)).includes(name);
  }

  /** `null` where the template refuses the messages, as some do without a user's. */
  #tryRender(
    messages: ChatMessage[],
    options: Partial<RenderOptions> = {},
  ): string | null {
    try {
      return canonicalText(
        this.render(messages, { addGenerationPrompt: false, ...options }),
      );
    } catch (error) {
      if (error instanceof RequestError) return null;
      throw error;
    }
  }

  #run(variables: Record<string, unknown>): string {
    let text: string;
    try {
      text = this.#template.render(variables);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new RequestError(
        `The model's chat template refuses these messages: ${
          reason.slice(0, 500)
        }`,
        "messages",
      );
    }
    checkLength(text.length);
    return text;
  }

  /**
   * Templates compare roles and types, and put roles into control tokens: the words that our wire
   * formats are made of stay as they are.
   */
  #breakUp(values: unknown, noncharacter: string): unknown {
    return mapStrings(
      values,
      (text, key) =>
        WIRE_WORDS.get(key)?.has(text)
          ? text
          : this.#controls.breakUp(text.toWellFormed(), noncharacter),
    );
  }
}

/**
 * Pieces as one string in which control tokens cannot be taken for text: each is a lone surrogate,
 * its id and `;`, while the text is well-formed. Two prompts are the same exactly if their
 * canonical texts are, and one continues the other exactly if its canonical text does.
 *
 * @example Text and tokens differ
 * ```ts
 * import { canonicalText } from "./template.ts";
 *
 * const token = canonicalText([{ special: 1 }, { text: "user" }]);
 * if (token === canonicalText([{ text: "<|im_start|>user" }])) throw new Error("unreachable");
 * ```
 */
export function canonicalText(pieces: readonly Piece[]): string {
  let result = "";
  let text = "";
  for (const piece of pieces) {
    if ("text" in piece) {
      text += piece.text;
    } else {
      result += `${text.toWellFormed()}${MARK}${piece.special};`;
      text = "";
    }
  }
  return result + text.toWellFormed();
}

/** The pieces of a canonical text. */
export function piecesOf(canonical: string): Piece[] {
  // Every other part is an id. Without the `u` flag a pair's second half could be taken for a mark.
  return canonical.split(/\uDC00(\d+);/u).flatMap((part, i): Piece[] => {
    if (i % 2 === 1) return [{ special: Number(part) }];
    return part === "" ? [] : [{ text: part }];
  });
}

function pickNoncharacter(values: unknown): string {
  const free = new Set(NONCHARACTERS);
  let length = 0;
  mapStrings(values, (text) => {
    length += text.length;
    checkLength(length);
    for (const [found] of text.matchAll(/[\uFDD0-\uFDEF]/g)) free.delete(found);
    return text;
  });
  for (const noncharacter of free) return noncharacter;
  throw new RequestError(
    "Messages use all noncharacters from U+FDD0 to U+FDEF",
    "messages",
  );
}

function checkLength(length: number): void {
  if (length <= MAX_LENGTH) return;
  throw new RequestError(
    `Messages are longer than ${MAX_LENGTH} characters`,
    "messages",
  );
}

/**
 * The value with each string in it replaced, at whatever depth; `key` is its property's name, and
 * `key` that of a property's name itself.
 */
function mapStrings(
  value: unknown,
  map: (text: string, key: string) => string,
  key = "",
): unknown {
  if (typeof value === "string") return map(value, key);
  if (Array.isArray(value)) return value.map((entry) => mapStrings(entry, map));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map((
      [name, entry],
    ) => [map(name, "key"), mapStrings(entry, map, name)]),
  );
}
