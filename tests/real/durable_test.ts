/** Conversations that outlast their server, with the real model, over HTTP. */
import { assertEquals } from "@std/assert";
import { join } from "node:path";
import { realModelPath } from "../real_model.ts";
import {
  begin,
  converseThroughKills,
  kill,
  type Resumed,
  say,
  startOn,
  undisturbed,
} from "./killed_server.ts";

const TURNS = 4;

async function temporary(use: (directory: string) => Promise<void>) {
  const directory = await Deno.makeTempDir({ prefix: "everstream_durable_" });
  try {
    await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Whether the snapshot of the latest turn is there. */
async function hasSnapshots(data: string, count: number): Promise<void> {
  for (;;) {
    const names = await Array.fromAsync(Deno.readDir(join(data, "snapshots")));
    const whole = names.filter(({ name }) => !name.endsWith(".part"));
    if (whole.length >= count) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

Deno.test("a conversation goes on after restarts as it would have: in its slot, from a snapshot, from its log", async () => {
  await realModelPath();
  const expected = await undisturbed(TURNS);
  await temporary(async (data) => {
    let server = await startOn(data);
    try {
      const conversation = await begin(server);
      const ways: Resumed[] = [null, "slot", "snapshot", "replay"];
      for (const [turn, way] of ways.entries()) {
        if (way === "snapshot" || way === "replay") {
          await hasSnapshots(data, turn);
          await kill(server);
          if (way === "replay") {
            await Deno.remove(join(data, "snapshots"), { recursive: true });
          }
          server = await startOn(data);
        }
        assertEquals(await say(server, { conversation, turn }), {
          text: expected[turn]!,
          resumed: way,
        });
      }
    } finally {
      await kill(server);
    }
  });
  await temporary(async (directory) => {
    await converseThroughKills(directory, expected.slice(0, 3));
  });
});
