/** The pages in a real browser, over a scripted model. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Browser, chromium, type Page } from "playwright-core";
import type { AppParts } from "../../lib/app.ts";
import { digestOf, KeyRing } from "../../lib/access/keys.ts";
import {
  eventually,
  served,
  type TestApp,
  testApp,
} from "../routes/harness.ts";
import type { Script } from "../scripted_model.ts";

const CHROMIUM = "/usr/bin/chromium";
const ARGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

function browserMissing(): boolean {
  try {
    Deno.statSync(CHROMIUM);
    return false;
  } catch {
    if (Deno.env.get("EVERSTREAM_REQUIRE_BROWSER") === "1") return false;
    console.log(`the page's tests are skipped: there is no ${CHROMIUM}`);
    return true;
  }
}

let browser: Promise<Browser> | null = null;

/** The browser of all tests; each page has a context of its own. */
function opened(): Promise<Browser> {
  return browser ??= chromium.launch({
    executablePath: CHROMIUM,
    args: ARGS,
  });
}

Deno.test.afterAll(async () => {
  await (await browser)?.close();
});

interface Opened extends TestApp {
  page: Page;
}

async function withPage(
  script: Script,
  use: (opened: Opened) => Promise<void>,
  { parts = {}, expected = /^$/ }: {
    parts?: Partial<AppParts>;
    /** What the browser may complain of. */
    expected?: RegExp;
  } = {},
): Promise<void> {
  const app = testApp(script, parts);
  await served(app, async (base) => {
    const page = await (await opened()).newPage();
    try {
      const complaints: string[] = [];
      page.on("console", (message) => {
        if (message.type() !== "error" || expected.test(message.text())) return;
        complaints.push(message.text());
      });
      page.on("pageerror", (error) => complaints.push(String(error)));
      await page.goto(base);
      await page.getByText("scripted/model-1").waitFor();
      await use({ ...app, page });
      assertEquals(complaints, []);
    } finally {
      await page.close();
    }
  });
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel("Message").fill(text);
  await page.getByLabel("Message").press("Enter");
}

const answers = (page: Page) => page.locator(".message.assistant");

async function settled(page: Page): Promise<void> {
  await page.locator("#log[aria-busy=false]").waitFor();
}

function pageTest(name: string, fn: () => Promise<void>): void {
  Deno.test({
    name: `page: ${name}`,
    ignore: browserMissing(),
    // playwright keeps a process's pipes and timers after the browser has closed.
    sanitizeResources: false,
    sanitizeOps: false,
    fn,
  });
}

pageTest(
  "a message is answered, shown as text, and the cache is counted",
  () =>
    withPage(
      { pieces: ["<b>Hello", "</b> ", "world"], capacity: 8, sinks: 2 },
      async ({ page, model }) => {
        await say(page, "Hi <i>there</i>");
        await settled(page);
        assertEquals(await answers(page).allTextContents(), [
          "<b>Hello</b> world",
        ]);
        const number = (id: string) => page.locator(`#${id}`).textContent();
        assertEquals(await number("held"), "6");
        assertEquals(await number("capacity"), "8");
        assertEquals(await number("bytes"), "180 KiB");
        assertMatch(
          await page.locator("#strip").getAttribute("aria-label") ?? "",
          /6 of 8 tokens, 2 of them sinks/,
        );

        await say(page, "More");
        await settled(page);
        assertEquals(model.requests[1]!.messages, [
          { role: "user", content: "Hi <i>there</i>" },
          { role: "assistant", content: "<b>Hello</b> world" },
          { role: "user", content: "More" },
        ]);
        assertEquals([
          await number("held"),
          await number("seen"),
          await number("evicted"),
        ], ["8", "18", "10"]);

        await page.getByRole("button", { name: "New chat" }).click();
        assertEquals(await answers(page).count(), 0);
        assertEquals(await number("held"), "–");
        await say(page, "Again");
        await settled(page);
        assertEquals(model.requests[2]!.messages.length, 1);
      },
    ),
);

pageTest(
  "an answer appears piece by piece, and Stop ends it and keeps it",
  () =>
    withPage(
      { pieces: Array(1000).fill("word "), delay: 20 },
      async ({ page, model }) => {
        await say(page, "Go");
        await page.getByText("word word word").waitFor();
        assert(model.emitted < 1000);
        assertEquals(
          await page.getByRole("button", { name: "Send" }).count(),
          0,
        );
        await page.getByRole("button", { name: "Stop" }).click();
        await settled(page);
        await eventually(() => model.returned === 1);
        const kept = await answers(page).textContent();
        assertMatch(kept!, /^(word )+$/);

        model.script = { pieces: ["ok"] };
        await say(page, "And now?");
        await settled(page);
        assertEquals(model.requests[1]!.messages[1], {
          role: "assistant",
          content: kept!,
        });
      },
    ),
);

pageTest(
  "a failure is said, and the question goes back to the field",
  () =>
    withPage(
      { failAt: 0, firstDelay: 1200, error: new Error("secret") },
      async ({ page, model }) => {
        await say(page, "Hi");
        const alert = page.getByRole("alert");
        await alert.waitFor();
        assertMatch((await alert.textContent())!, /failed to answer/);
        assertEquals(await page.getByLabel("Message").inputValue(), "Hi");
        assertEquals(await answers(page).count(), 0);
        model.script = {};
        await page.getByRole("button", { name: "Send" }).click();
        await settled(page);
        assertEquals(await answers(page).textContent(), "Hello, world");
        assertEquals(await alert.count(), 0);
      },
    ),
);

pageTest(
  "it fits a phone without scrolling sideways",
  () =>
    withPage({ pieces: ["x".repeat(500)] }, async ({ page }) => {
      await page.setViewportSize({ width: 320, height: 600 });
      await say(page, "y".repeat(500));
      await settled(page);
      const sideways = await page.evaluate(
        "document.documentElement.scrollWidth - innerWidth",
      );
      assertEquals(sideways, 0);
      assert(await page.getByRole("button", { name: "Send" }).isVisible());
    }),
);

pageTest(
  "the log follows the answer to its end",
  () =>
    withPage({ pieces: Array(400).fill("word ") }, async ({ page }) => {
      for (let i = 0; i < 3; i++) {
        await say(page, "Go");
        await settled(page);
      }
      const below = await page.evaluate(
        "log.scrollHeight - log.scrollTop - log.clientHeight",
      );
      assert(Number(below) < 2, `${below} pixels below the fold`);
    }),
);

pageTest(
  "where the server wants a key it is asked for, kept in the tab, and sent",
  () => {
    const key = "es-ada-0123456789";
    const parts = { keys: new KeyRing([digestOf(key)]) };
    return withPage({ pieces: ["ok"] }, async ({ page, model }) => {
      const field = page.getByRole("textbox", { name: "API key" });
      await say(page, "Hi");
      await field.waitFor();
      assertMatch(
        (await page.locator("[data-why]").textContent())!,
        /needs an API key/,
      );
      await field.fill("es-eve-0123456789");
      await field.press("Enter");
      await page.getByText("is not one of this server's").waitFor();
      assertEquals(await field.inputValue(), "");
      await field.fill(key);
      await page.getByRole("button", { name: "Use key" }).click();
      await settled(page);
      assertEquals(await answers(page).allTextContents(), ["ok"]);
      assertEquals(model.requests[0]!.client.owner, digestOf(key).slice(0, 32));

      await page.reload();
      await page.getByText("scripted/model-1").waitFor();
      await say(page, "Again");
      await settled(page);
      assertEquals(await answers(page).allTextContents(), ["ok"]);
      const kept = await page.evaluate(
        "[sessionStorage.length, localStorage.length, document.cookie]",
      );
      assertEquals(kept, [1, 0, ""]);
    }, { parts, expected: /401/ });
  },
);

pageTest(
  "without a key the question goes back to the field, and may be sent again",
  () => {
    const parts = { keys: new KeyRing([digestOf("es-ada-0123456789")]) };
    return withPage({}, async ({ page, model }) => {
      for (const leave of ["Cancel", "Escape"]) {
        await say(page, "Hi");
        await page.getByRole("textbox", { name: "API key" }).waitFor();
        if (leave === "Escape") await page.keyboard.press("Escape");
        else await page.getByRole("button", { name: "Cancel" }).click();
        await settled(page);
        assertEquals(await page.getByLabel("Message").inputValue(), "Hi");
        assertMatch(
          (await page.getByRole("alert").textContent())!,
          /needs an API key/,
        );
      }
      assertEquals(model.requests.length, 0);
    }, { parts, expected: /401/ });
  },
);

pageTest(
  "the documentation shows every operation, and asks nobody else",
  () =>
    withPage({}, async ({ app, page }) => {
      const { paths } = await (await app.request("/openapi.json")).json();
      const hosts = new Set<string>();
      page.on("request", (request) => hosts.add(new URL(request.url()).host));
      const base = new URL(page.url());
      await page.goto(`${base.origin}/docs`);
      const operations = page.locator(".opblock");
      await operations.first().waitFor();
      assertEquals(
        await operations.count(),
        Object.values<object>(paths).flatMap(Object.keys).length,
      );
      await page.getByText("Answer a chat").click();
      await page.getByRole("button", { name: "Try it out" }).click();
      await page.getByRole("button", { name: "Execute" }).click();
      await page.getByText("Hello, world").first().waitFor();
      assertEquals([...hosts], [base.host]);
    }),
);
