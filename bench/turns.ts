/**
 * The program behind `deno task turns`: what a turn costs as its conversation goes on, in ours and in
 * others.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { readConfig } from "../lib/config.ts";
import { exitStatus } from "../lib/program/program.ts";
import { openBenchModel, SINKS } from "./bench_model.ts";
import { checkWritable, writeJson } from "./json_file.ts";
import { describeMachine, type Machine } from "./machine.ts";
import { installLlamaCppPython, installNodeLlamaCpp } from "./peers/install.ts";
import { renderMachine } from "./report.ts";
import { startServer } from "./server.ts";
import { ChatClient } from "./turns/chat_client.ts";
import type { TurnClient } from "./turns/client.ts";
import { measureTurns } from "./turns/measure.ts";
import {
  parseTurnsOptions,
  type TurnsOptions,
  USAGE,
} from "./turns/options.ts";
import { PeerClient } from "./turns/peer_client.ts";
import { renderTurns } from "./turns/report.ts";
import { ResponsesClient } from "./turns/responses_client.ts";

const PEERS_DIRECTORY = fileURLToPath(new URL(".peers", import.meta.url));

/** Milliseconds before a question: a snapshot of a cache is written behind an answer. */
const PAUSE = 200;

/** Whether all that was asked for could be measured. */
async function turns(options: TurnsOptions): Promise<boolean> {
  const { window, answer: maxTokens, json } = options;
  await checkWritable(json);
  const { path, machine } = await configuredModel();
  console.log(renderMachine(machine));
  await using server = await startServer({
    EVERSTREAM_MODEL: path,
    EVERSTREAM_SINKS: String(SINKS),
    EVERSTREAM_WINDOW: String(window),
  });
  await using clients = new AsyncDisposableStack();
  const ours = { url: server.url, maxTokens };
  const all: TurnClient[] = [
    clients.use(await ResponsesClient.open(ours)),
    clients.use(new ChatClient(ours)),
  ];
  const notes: string[] = [];
  if (options.peers) {
    for (const [name, install] of Object.entries(INSTALLERS)) {
      try {
        const { turns: [program, ...args] } = await install(PEERS_DIRECTORY);
        const sizes = [SINKS + window, maxTokens].map(String);
        all.push(
          clients.use(
            await PeerClient.open([program, ...args, path, ...sizes]),
          ),
        );
      } catch (error) {
        notes.push(`${name}: ${(error as Error).message}`);
      }
    }
  }
  const results = await measureTurns(all, {
    turns: options.turns,
    pause: PAUSE,
  });
  console.log(`\n${renderTurns(results)}`);
  for (const note of notes) console.error(`Not measured: ${note}`);
  await writeJson(json, { schema: 1, machine, options, results, notes });
  return notes.length === 0;
}

const INSTALLERS = {
  "llama-cpp-python": installLlamaCppPython,
  "node-llama-cpp": installNodeLlamaCpp,
};

/** Where the configured model is, and what it is measured on. */
async function configuredModel(): Promise<{ path: string; machine: Machine }> {
  const model = await openBenchModel(readConfig());
  try {
    return { path: model.path, machine: describeMachine(model) };
  } finally {
    await model.release();
  }
}

if (import.meta.main) {
  const program = { usage: USAGE, parse: parseTurnsOptions, run: turns };
  Deno.exit(await exitStatus(program, Deno.args));
}
