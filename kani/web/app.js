/** The page: its parts, the buttons of the result, and the state of the connection. */

import { Compose } from "./compose.js";
import { Connection } from "./connection.js";
import { Features } from "./features.js";
import { Gallery } from "./gallery.js";
import { History } from "./history.js";
import { has, t, translate } from "./i18n.js";
import { Playback } from "./playback.js";
import { showPreferences } from "./preferences.js";
import { Server, ServerError } from "./server.js";
import { showServer } from "./server-line.js";
import { openChannel } from "./storage.js";
import { learnVoices } from "./voices.js";

const find = (id) => document.querySelector(`#${id}`);

/** Buttons that save a file, by its kind. */
const FILES = { wav: "download", mp3: "mp3", opus: "opus", srt: "srt", vtt: "vtt", json: "json" };

/** Refusals that stay until the server's operator changes something. */
const REFUSED = ["host", "origin", "proxy"];

translate();
showPreferences();

const server = new Server();
const history = new History();
/** Other tabs of this page: one is heard at a time, and all show the same history. */
const otherTabs = openChannel("kani");
const compose = new Compose(speak);
const connection = new Connection(server, lineIs);
const playback = new Playback(compose, connection, {
  problem,
  quiet: () => {
    features.quiet();
    gallery.hush();
  },
  begins: () => otherTabs?.postMessage("speaks"),
  keep: (utterance) => history.keep(utterance).then(showHistory),
  sounds: (utterance) => {
    // While the server is there: what has come can be saved, kept and played again without it.
    downloads();
    features.load();
    features.plays(utterance, () => playback.ended());
  },
  changed: buttons,
});
const gallery = new Gallery(server, {
  choose: (voice) => {
    compose.choose(voice);
    features.changed();
    if (!find("compose-panel").hidden) find("speak").focus();
  },
  quiet: () => playback.stop(),
});
const features = new Features(server, compose, {
  say: (text, changes) => {
    playback.speak({ ...compose.choice, text, ...changes });
    return playback.ended();
  },
  /** True if the last request was played to its end. */
  whole: () => !playback.shown.stopped,
  stop: () => playback.stop(),
  seek: (by) => playback.seek(by),
  replay: (entry, pieces) => playback.replay(entry, pieces),
  problem,
  pause,
  learn,
  showHistory,
  reopen: () => {
    connection.reopen();
    learn();
  },
});

function problem(words) {
  find("problem").textContent = words;
}

function speak() {
  features.stopDictation();
  if (compose.choice.text) return playback.speak(compose.choice);
  problem(t("problem.empty"));
  find("text").focus();
}

/** Rest, or play on. */
function pause(rests) {
  if (!playback.plays) return undefined;
  features.rests(rests);
  return playback.pause(rests);
}

/** Show what is kept now, in other tabs too. */
function showHistory() {
  otherTabs?.postMessage("history");
  return features.showHistory(history);
}

const downloads = () => import("./downloads.js");

/** Save what is shown as a file of a kind. */
async function saveAs(kind) {
  const { save } = await downloads();
  if (kind === "mp3" || kind === "opus") playback.say(t("download.making"));
  try {
    await save(playback.shown, kind, server);
    if (!playback.plays) playback.say("");
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    problem(error.words);
  }
}

function buttons() {
  const some = playback.shown !== null && playback.shown.samples > 0;
  for (const id of ["stop", "stop-here"]) find(id).disabled = !playback.busy;
  find("again").disabled = !some || playback.asked;
  find("pause").disabled = !playback.plays;
  find("pause").textContent = t(playback.paused ? "resume" : "pause");
  for (const id of ["seek", ...Object.values(FILES)]) find(id).disabled = !some;
  // A compressed file is spoken once more by the server: not beside the first time.
  for (const id of ["mp3", "opus"]) find(id).disabled = !some || playback.asked;
}

/** Show the state of the connection. */
function lineIs(state, message) {
  const shown = REFUSED.includes(state) ? "refused" : has(`line.${state}`) ? state : "busy";
  find("line").dataset.state = shown;
  find("line-text").textContent = t(`line.${shown}`);
  if (state === "connecting") return;
  if (state === "open") {
    if (find("problem").dataset.line) problem("");
    learn();
  } else if (state === "key") {
    features.askKey();
  } else {
    problem(t(has(`problem.${state}`) ? `problem.${state}` : "problem.failed", { message }));
  }
  find("problem").dataset.line = state === "open" ? "" : state;
  playback.connected(state === "open");
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
  if (connection.ready) problem(error.words);
}

find("spoken").addEventListener("toggle", async ({ target }) => {
  if (!target.open) return;
  const { showSpokenText } = await import("./spoken-text.js");
  await showSpokenText(find("spoken-text"), playback.shown, server);
});
find("stop").addEventListener("click", () => {
  playback.stop();
  find("speak").focus();
});
find("stop-here").addEventListener("click", () => {
  playback.stop();
  find("again").focus({ preventScroll: true });
});
find("again").addEventListener("click", () => playback.replay(playback.shown, playback.shown.pieces));
for (const [kind, id] of Object.entries(FILES)) find(id).addEventListener("click", () => saveAs(kind));
find("pause").addEventListener("click", () => pause(!playback.paused));
find("share").addEventListener("click", async () => {
  const { share } = await import("./share.js");
  find("shared").textContent = await share(compose.choice);
});
otherTabs?.addEventListener("message", ({ data }) => {
  if (data === "speaks") playback.stop();
  if (data === "history") features.showHistory(history);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) playback.stop();
});

playback.open();
features.showHistory(history);
connection.open();
