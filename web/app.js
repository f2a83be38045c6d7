/** The page: what is chosen is asked for, what comes is played, shown and kept. */

import { Compose } from "./compose.js";
import { Connection } from "./connection.js";
import { Features } from "./features.js";
import { Gallery } from "./gallery.js";
import { History } from "./history.js";
import { has, seconds, t, translate } from "./i18n.js";
import { Player } from "./player.js";
import { showPreferences } from "./preferences.js";
import { Server, ServerError } from "./server.js";
import { showServer } from "./server-line.js";
import { Stage } from "./stage.js";
import { Utterance } from "./utterance.js";
import { learnVoices } from "./voices.js";

const find = (id) => document.querySelector(`#${id}`);

translate();
showPreferences();

const server = new Server();
const player = new Player(happened);
const stage = new Stage(player, playFrom);
const compose = new Compose(speak);
const history = new History();
const gallery = new Gallery(server, {
  choose: (voice) => {
    compose.choose(voice);
    features.changed();
    if (!find("compose-panel").hidden) find("speak").focus();
  },
  quiet: stop,
});
/** Other tabs of this page: one is heard at a time, and all show the same history. */
const otherTabs = new BroadcastChannel("kani");
const connection = new Connection(server, lineIs);

/** Buttons that save a file, by its kind. */
const FILES = { wav: "download", mp3: "mp3", opus: "opus", srt: "srt", vtt: "vtt", json: "json" };

/** The utterance on the stage; asked: its answer is not complete yet. */
let shown = null;
let asked = false;
let live = false;
/** Called when nothing is asked for nor heard. */
const waiting = [];

/** Return a unique id of a request; randomUUID exists only over https. */
function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function problem(words) {
  find("problem").textContent = words;
}

function speak() {
  features.stopDictation();
  if (compose.choice.text) return utter(compose.choice);
  problem(t("problem.empty"));
  find("text").focus();
}

/** Speak a text with what else is chosen; resolves when it is no longer heard. */
function say(text, changes) {
  utter({ ...compose.choice, text, ...changes });
  return new Promise((heard) => waiting.push(heard));
}

/** Ask for what was chosen, and play it. */
function utter(choice) {
  const clicked = performance.now();
  const params = compose.params(choice);
  stop();
  otherTabs.postMessage("speaks");
  problem("");
  const utterance = new Utterance(newId(), choice, clicked);
  shown = utterance;
  asked = live = true;
  // First what takes time elsewhere; the page is drawn meanwhile.
  if (compose.inParts(params.text)) askInParts(utterance, params);
  else ask(utterance, params, [{ text: params.text }]);
  // Browsers allow no sound before a click.
  player.begin();
  stage.begin(utterance, true);
  stage.say(t(connection.ready ? "status.asked" : "status.waiting"));
  buttons();
}

/** Ask for a text that one request does not take: it is too long, or has marks in it. */
async function askInParts(utterance, params) {
  const module = await import("./text-parts.js").catch((error) => {
    console.info("text-parts.js was not loaded:", error);
    return null;
  });
  if (shown !== utterance || !asked) return;
  if (module === null) return fails(t("problem.offline"));
  const { MarkError, speechParts } = module;
  try {
    const parts = speechParts(params.text, compose.longest, params.speed ?? 1, (voice) => compose.speaks(voice));
    if (parts.length) ask(utterance, params, parts);
    else fails(t("problem.empty"));
  } catch (error) {
    if (!(error instanceof MarkError)) throw error;
    fails(t(`problem.${error.code}`, { value: error.value }));
  }
}

/** Ask for the first of ``parts``, and for each of the others once the one before it has come. */
function ask(utterance, params, [{ text, start = 0, voice, pause = 0 }, ...rest]) {
  utterance.request = newId();
  utterance.beginPart(start, pause);
  connection.speak(utterance.request, { ...params, text, voice: voice || params.voice }, answers(utterance, (result) => {
    utterance.addResult(result);
    if (rest.length === 0) return false;
    ask(utterance, compose.following(params, result.language, Boolean(rest.at(-1).voice)), rest);
    return true;
  }));
}

/** Handlers of the server's answers; goesOn: asks for the next part, if there is one. */
function answers(utterance, goesOn) {
  return {
    progress: ({ state, position }) => {
      if (state === "queued" && position) stage.queued(position);
    },
    frame: (frame) => {
      const { samples, spans } = utterance.add(frame, performance.now());
      player.push(samples.slice(), utterance.sampleRate);
      stage.came(samples, spans);
      if (utterance.arrivals.length === 1) buttons();
    },
    complete: (result) => {
      if (goesOn(result)) return;
      stage.told(utterance.result);
      ends();
    },
    error: (error) => {
      if (utterance.samples === 0) return fails(explain(error));
      problem(explain(error));
      // The audio that came is played to its end, as after a broken connection.
      utterance.lost = true;
      ends();
    },
    lost: () => {
      utterance.lost = true;
      ends();
    },
  };
}

/** Nothing came, and nothing will. */
function fails(words) {
  problem(words);
  arrived();
  player.stop();
  stage.hide();
  buttons();
}

/** Nothing more comes; what came is heard to its end. */
function ends() {
  arrived();
  if (player.works) player.finish();
  else heardOut();
}

/** Nothing more comes: what came is kept. */
function arrived() {
  asked = false;
  if (shown.samples > 0) history.keep(shown).then(showHistory);
  buttons();
}

/** Show what is kept now, in other tabs too. */
function showHistory() {
  otherTabs.postMessage("history");
  return features.showHistory(history);
}

/** Nothing more is heard; all: it was heard to its end. */
function over(all, words) {
  stage.end(all);
  stage.say(words);
  buttons();
}

/** Playback of the available audio has ended, or is impossible. */
function heardOut() {
  over(!shown.lost, t(shown.lost ? "status.lost" : "status.done", { length: seconds(shown.seconds) }));
}

/** Silence at once, and no more work for the server. */
function stop() {
  features.quiet();
  gallery.hush();
  if (!asked && !player.busy) return;
  const heard = player.busy;
  if (asked) {
    connection.cancel(shown.request);
    shown.stopped = true;
    arrived();
  }
  stage.end(false);
  player.stop();
  if (heard || shown.samples === 0) stage.say(t("status.stopped", { length: seconds(shown.seconds) }));
  buttons();
}

/** Handle the player's events of the stream that plays. */
function happened(kind) {
  if (kind === "sound") {
    // While the server is there: what has come can be saved, kept and played again without it.
    downloads();
    features.load();
    player.load();
    features.plays(shown, () => new Promise((heard) => waiting.push(heard)));
    if (live) stage.sounds(performance.now() - shown.askedAt + 1000 * player.latency);
    stage.say(t(live ? "status.speaking" : "status.replay"));
  }
  if (kind === "silent") problem(t("problem.player"));
  if ((kind === "ended" || kind === "silent") && !asked) heardOut();
}

/** Play something that is kept; pieces: its samples. */
function replay({ id, choice, spans, sampleRate, result, stopped }, pieces) {
  stop();
  problem("");
  live = false;
  shown = new Utterance(id, choice, performance.now());
  Object.assign(shown, { spans, sampleRate, result, stopped, pieces });
  shown.samples = pieces.reduce((sum, piece) => sum + piece.length, 0);
  hearAgain(0);
}

/** Play what is shown, of which nothing more comes, from a second on. */
function hearAgain(position) {
  live = false;
  otherTabs.postMessage("speaks");
  player.playFrom(shown, position, true);
  stage.begin(shown, false);
  stage.told(shown.result ?? {});
  buttons();
}

/** Go to a second of what is shown, whether it is heard, still comes, or has ended. */
function playFrom(position) {
  if (!shown?.samples) return;
  features.quiet();
  gallery.hush();
  if (asked || player.busy) player.playFrom(shown, position, !asked);
  else hearAgain(position);
  buttons();
}

const downloads = () => import("./downloads.js");

/** Save what is shown as a file of a kind. */
async function saveAs(kind) {
  const { save } = await downloads();
  if (kind === "mp3" || kind === "opus") stage.say(t("download.making"));
  try {
    await save(shown, kind, server);
    if (!player.busy) stage.say("");
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    problem(error.words);
  }
}

function buttons() {
  const some = shown !== null && shown.samples > 0;
  find("stop").disabled = !asked && !player.busy;
  find("again").disabled = !some || asked;
  find("pause").disabled = !player.busy;
  find("pause").textContent = t(player.paused ? "resume" : "pause");
  for (const id of ["seek", ...Object.values(FILES)]) find(id).disabled = !some;
  // A compressed file is spoken once more by the server: not beside the first time.
  for (const id of ["mp3", "opus"]) find(id).disabled = !some || asked;
  if (!asked && !player.busy) for (const heard of waiting.splice(0)) heard();
}

/** Rest, or play on. */
async function pause(rests) {
  if (!player.busy) return;
  features.rests(rests);
  if (!rests && player.tempoChanged) return playFrom(player.heard());
  stage.say(t(rests ? "status.paused" : live ? "status.speaking" : "status.replay"));
  await player.pause(rests);
  buttons();
}

/** An error of the protocol in plain words. */
function explain({ code, message }) {
  return has(`problem.${code}`) ? t(`problem.${code}`, { message }) : t("problem.failed", { message });
}

/** Show the state of the connection. */
function lineIs(state, message) {
  const refused = state === "host" || state === "origin";
  find("line").dataset.state = refused ? "refused" : state;
  find("line-text").textContent = t(`line.${refused ? "refused" : state === "failed" ? "busy" : state}`);
  if (state === "connecting") return;
  if (state === "open") {
    if (find("problem").dataset.line) problem("");
    learn();
  } else if (state === "key") {
    features.askKey();
  } else {
    problem(t(`problem.${state}`, { message }));
  }
  find("problem").dataset.line = state === "open" ? "" : state;
  if (asked && shown.samples === 0) stage.say(t(state === "open" ? "status.asked" : "status.waiting"));
}

/** Learn what the server can do: all that it answers, also where one of the questions fails. */
async function learn() {
  const answers = await Promise.allSettled([server.health(), server.voices(), server.longestText()]);
  const [health, voices, longest] = answers.map(({ value }) => value);
  if (voices) learnVoices(voices);
  compose.offer(health?.languages, voices, longest, health?.engines.map(({ name }) => name));
  if (health) {
    showServer(health);
    find("tabs").hidden = find("dictate").hidden = !health.recognizer;
  }
  const failed = answers.find(({ status }) => status === "rejected");
  if (failed) notLearned(failed.reason);
  if (!voices) return;
  find("mix").hidden = !voices.some(({ engine, kept }) => engine === "kokoro" && !kept);
  gallery.show(voices);
  await features.showKept(voices);
}

/** Show why a question was not answered; without a connection that shows the failure and retries. */
function notLearned(error) {
  if (!(error instanceof ServerError)) throw error;
  if (connection.ready) problem(t("problem.failed", { message: error.message }));
}

find("spoken").addEventListener("toggle", async ({ target }) => {
  if (!target.open) return;
  const { showSpokenText } = await import("./spoken-text.js");
  await showSpokenText(find("spoken-text"), shown, server);
});
find("stop").addEventListener("click", () => {
  stop();
  find("speak").focus();
});
find("again").addEventListener("click", () => replay(shown, shown.pieces));
for (const [kind, id] of Object.entries(FILES)) find(id).addEventListener("click", () => saveAs(kind));
find("pause").addEventListener("click", () => pause(!player.paused));
find("share").addEventListener("click", async () => {
  const { share } = await import("./share.js");
  find("shared").textContent = await share(compose.choice);
});
otherTabs.addEventListener("message", ({ data }) => {
  if (data === "speaks") stop();
  if (data === "history") features.showHistory(history);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) stop();
});

const features = new Features(server, compose, {
  say, stop, problem, pause, learn, replay, showHistory,
  seek: (by) => playFrom(player.heard() + by),
  /** True if the last request was played to its end. */
  whole: () => !shown.stopped,
  reopen: () => {
    connection.reopen();
    learn();
  },
});

player.open();
features.showHistory(history);
connection.open();
