/** The chat page: keeps the conversation, sends it with every turn, shows what comes back. */
import { askForKey } from "./api_key.js";
import { cacheStrip } from "./cache_strip.js";
import { KeyNeeded, streamChat } from "./chat_stream.js";

const find = (id) => document.getElementById(id);
const log = find("log");
const input = find("input");
const send = find("send");
const stop = find("stop");
const strip = cacheStrip(find("strip"));

/** The conversation so far, as the server takes it. */
let history = [];
/** The answer on its way: its messages on the page and how to end it. */
let turn = null;
let ready = false;

async function watchServer() {
  const wait = await askHealth();
  if (wait !== null) setTimeout(watchServer, wait);
}

/** Milliseconds until asking again; `null` when there is no need. */
async function askHealth() {
  try {
    const health = await (await fetch("health")).json();
    ready = health.status === "ok";
    showModel(modelText(health), health.status === "failed");
    return ready ? null : health.status === "failed" ? 10_000 : 1_000;
  } catch {
    showModel("no connection to the server", true);
    return 2_000;
  } finally {
    update();
  }
}

function modelText({ status, model, error }) {
  if (status === "ok") return model;
  if (status === "failed") return `the model could not be loaded: ${error}`;
  return "the model is loading…";
}

function showModel(text, bad) {
  const model = find("model");
  model.textContent = text;
  model.title = text;
  model.classList.toggle("bad", bad);
}

async function ask(text) {
  const controller = new AbortController();
  const mine = { controller, question: bubble("user", text), answer: null };
  mine.answer = bubble("assistant", "");
  mine.answer.classList.add("streaming");
  log.scrollTop = log.scrollHeight;
  turn = mine;
  notify("");
  history.push({ role: "user", content: text });
  update();
  try {
    await readAnswerWithKey(mine);
  } catch (error) {
    // A new chat has begun: this turn is no longer on the page.
    if (turn === mine && error.name !== "AbortError") notify(error.message);
  } finally {
    if (turn === mine) settle(mine, text);
  }
}

/** Asks for a key as often as the server wants another, until the user gives up. */
async function readAnswerWithKey(mine) {
  for (;;) {
    try {
      return await readAnswer(mine);
    } catch (error) {
      if (!(error instanceof KeyNeeded) || turn !== mine) throw error;
      if (!await askForKey(find("key"), error.message)) throw error;
    }
  }
}

async function readAnswer(mine) {
  let first = null;
  for await (const chunk of streamChat(history, mine.controller.signal)) {
    if (turn !== mine) return;
    const cache = chunk.everstream ?? chunk.usage?.everstream;
    const text = chunk.choices[0]?.delta.content;
    if (cache) {
      const now = performance.now();
      // The rate is that of the answer: its prompt is read faster, or was in the cache.
      if (text) first ??= { seen: cache.seen, time: now };
      const since = first ? (now - first.time) / 1000 : 0;
      showCache(cache, since > 0 ? (cache.seen - first.seen) / since : NaN);
    }
    if (text) append(mine.answer, text);
  }
}

/** Ends a turn: an answer that has begun is kept, a question without one goes back to the field. */
function settle({ controller, question, answer }, text) {
  turn = null;
  answer.classList.remove("streaming");
  if (answer.textContent !== "") {
    history.push({ role: "assistant", content: answer.textContent });
    answer.classList.toggle("stopped", controller.signal.aborted);
  } else {
    history.pop();
    question.remove();
    answer.remove();
    if (input.value === "") input.value = text;
  }
  update();
}

function newChat() {
  turn?.controller.abort();
  turn = null;
  history = [];
  for (const message of log.querySelectorAll(".message")) message.remove();
  notify("");
  showCache(null, NaN);
  update();
  input.focus();
}

function bubble(role, text) {
  const element = document.createElement("div");
  element.className = `message ${role}`;
  element.setAttribute("aria-label", role === "user" ? "You" : "Everstream");
  element.textContent = text;
  log.append(element);
  return element;
}

function append(element, text) {
  // Follows the text only while the reader is at its end.
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  element.append(text);
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function notify(text) {
  find("notice").textContent = text;
  find("notice").hidden = text === "";
}

function showCache(cache, rate) {
  strip.draw(cache);
  for (const name of ["held", "capacity", "seen", "evicted"]) {
    find(name).textContent = cache ? cache[name].toLocaleString() : "–";
  }
  find("bytes").textContent = cache ? bytesText(cache.bytes) : "–";
  find("rate").textContent = Number.isFinite(rate) && rate > 0
    ? rate.toFixed(1)
    : "–";
}

function bytesText(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(
    units.length - 1,
    Math.floor(Math.log2(Math.max(1, bytes)) / 10),
  );
  const value = bytes / 1024 ** power;
  return `${value.toFixed(value < 10 && power > 0 ? 1 : 0)} ${units[power]}`;
}

function update() {
  const busy = turn !== null;
  find("empty").hidden = busy || history.length > 0;
  log.setAttribute("aria-busy", String(busy));
  send.hidden = busy;
  stop.hidden = !busy;
  send.disabled = !ready || input.value.trim() === "";
}

find("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = input.value.trim();
  if (text === "" || turn !== null || !ready) return;
  input.value = "";
  ask(text);
});
input.addEventListener("input", update);
input.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  find("composer").requestSubmit();
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape") turn?.controller.abort();
});
stop.addEventListener("click", () => turn?.controller.abort());
find("new").addEventListener("click", newChat);

showCache(null, NaN);
watchServer();
