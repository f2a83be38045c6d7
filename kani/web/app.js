/** The page: its parts, the buttons of the result, and the state of the connection. */

import { compose } from "./compose.js";
import { connection } from "./connection.js";
import { find, make, query, queryAll, tell } from "./element.js";
import { complain, expected } from "./failures.js";
import { Features, historyList } from "./features.js";
import { Gallery } from "./gallery.js";
import { history } from "./history.js";
import { has, number, t, translate } from "./i18n.js";
import { handleMenus, showPreferences } from "./navigation.js";
import { playback } from "./playback.js";
import { inWords, server } from "./server.js";
import { quiet, silence, sources } from "./sources.js";
import { openChannel } from "./storage.js";
import { isNatural, learnVoices } from "./voices.js";
import { TAG, withoutMarks } from "./words.js";

/** Buttons that save a file of the kind that is their value. */
const files = queryAll("#files .list button");
/** Kinds that are made once all has come. */
const WHOLE = ["mp3", "opus", "square", "wide"];

/** Signs that can be sounded at all: letters, digits, and signs that have a name. */
const SPEAKABLE = /[\p{L}\p{N}\p{Sc}\p{Sm}]/u;

/** Refusals that stay until the server's operator changes something. */
const REFUSED = ["host", "origin", "proxy"];

translate();
showPreferences();
handleMenus();
// Browsers have encoders only over https, and older ones none of sound.
for (const kind of ["square", "wide"]) find(kind).hidden = !("VideoEncoder" in window && "AudioEncoder" in window);

/** Other tabs of this page: one is heard at a time, and all show the same history. */
const otherTabs = openChannel("kani");
compose.speak = speak;
connection.told = lineIs;
playback.acts = {
  keep,
  sounds: () => {
    // While the server is there: what has come can be saved, kept and played again without it.
    Promise.all([import("./downloads.js"), historyList()]).catch(expected([TypeError], () => {}));
  },
  speak: () => speak(false),
  book: () => features.book,
  changed: buttons,
};
const gallery = new Gallery();
const features = new Features();
sources.begins = () => otherTabs?.postMessage("speaks");
sources.changed = () => {
  // Speech that rests keeps its player in all tabs, until something else is heard.
  const { current } = sources;
  const heard = ((current?.sounds || (current === playback && playback.busy)) && current.box) || "";
  document.body.dataset.sounds = heard;
  for (const player of queryAll(".player")) player.toggleAttribute("data-sounds", player.id === heard);
  features.sounds();
};
server.learn = learn;

/** Speak the text of the form; tries: to hear how a choice sounds, from the sentence on that is heard. */
function speak(tries) {
  const { text } = compose.choice;
  // A text that rests goes on with the choice once it is heard again.
  if (tries && (playback.has(text) ? playback.player.paused : features.book?.reads(compose.choice))) return;
  features.stopDictation();
  features.book?.anew();
  const choice = { ...compose.choice, ...(tries && playback.has(text) && playback.rest(text)), ...features.book?.next, tries };
  if (!SPEAKABLE.test(withoutMarks(choice.text).replaceAll(TAG, ""))) {
    playback.stage.say("");
    complain(t(choice.text ? "problem.silent" : "problem.empty"));
    return find("text").focus();
  }
  playback.speak(choice);
  if (!tries) find("words").scrollIntoView({ block: "nearest" }); // A choice that is tried stays in view.
}

/** Keep a result; comes: more of it. Then what it takes the place of goes. */
async function keep(utterance, comes) {
  const { choice, replaces } = utterance;
  if (choice.kept === false) return;
  // It counts as lost until all has come.
  if (comes) return history.keep(utterance, true);
  if (replaces) await history.delete(replaces);
  await history.keep(utterance, utterance.lost);
  await history.changed();
}

history.changed = () => {
  otherTabs?.postMessage("history");
  return features.showHistory();
};

/** Save what is shown as a file of a kind. */
async function saveAs(kind) {
  if (kind === "square" || kind === "wide") return (await import("./video.js")).saveVideo(kind);
  const { save } = await import("./downloads.js");
  if (kind === "mp3" || kind === "opus") playback.stage.say(t("download.making"));
  await save(playback.shown, kind).catch(inWords(complain)).finally(() => playback.player.busy || playback.stage.say(""));
}

function buttons() {
  const some = playback.shown !== null && playback.shown.samples > 0;
  const left = document.activeElement === find("stop") && !playback.busy;
  find("stop").hidden = !playback.busy;
  // Not the same picture as that of the button that speaks.
  const { goesOn } = playback;
  const act = playback.player.paused || (goesOn && goesOn !== "again") ? "resume" : playback.player.busy ? "pause" : "again";
  find("pause").disabled = playback.asked ? !playback.player.busy : !some && !goesOn;
  find("pause").dataset.act = act;
  find("pause").ariaLabel = t(goesOn || act);
  for (const file of files) file.disabled = !some || (playback.asked && WHOLE.includes(file.value));
  if (left) find(some ? "pause" : "speak").focus({ preventScroll: true });
}

/** Show the state of the connection. */
function lineIs(state, message) {
  const shown = REFUSED.includes(state) ? "refused" : has(`line.${state}`) ? state : "busy";
  find("line").dataset.state = shown;
  tell(find("line-text"), t(`line.${shown}`));
  // Not for a screen reader, which would say it each second.
  tell(find("line-time"), state === "starting" ? message : "");
  if (state === "connecting") return;
  if (state === "open") {
    if (find("problem").dataset.line) complain("");
    learn();
  } else if (state === "key") {
    import("./key-dialog.js").then(({ askKey }) => askKey());
  } else {
    complain(t(has(`problem.${state}`) ? `problem.${state}` : "problem.failed", { message }));
  }
  find("problem").dataset.line = state === "open" ? "" : state;
  playback.connected(state === "open");
}

/** Learn what the server can do: all that it answers, also where one of the questions fails. */
async function learn() {
  // Without a connection that shows the failure, and retries.
  const failed = inWords((words) => (connection.ready ? complain(words) : undefined));
  const [health, voices, config] = await Promise.all([server.health(), server.voices(), server.config()].map((answer) => answer.catch(failed)));
  if (voices) learnVoices(voices);
  compose.offer(health?.languages, voices, config, health?.engines.map(({ name }) => name), health?.default_voices);
  if (health) {
    showServer(health, voices);
    features.learned(health);
    find("tabs").hidden = !health.recognizer;
    const cloning = new Set(health.engines.map((engine) => engine.cloning));
    cloning.delete("none");
    const similar = cloning.size === 1 && cloning.has("nearest voice") ? ` ${t("kept.similar")}` : "";
    tell(find("kept-empty"), cloning.size ? t("kept.empty") + similar : t("kept.no_engine"));
    // Browsers give a page over plain http no microphone.
    find("dictate").hidden = !health.recognizer?.live || !navigator.mediaDevices;
  }
  if (!voices) return;
  find("mix").hidden = !voices.some(({ engine, kept }) => engine === "kokoro" && !kept);
  gallery.show(voices);
  await features.showKept(voices);
}

/** Show what /health says, at the head and at the foot of the page, and how many voices there are. */
function showServer({ version, engines, light = [], languages, recognizer, counters: { speaking, waiting } }, voices = []) {
  const natural = voices.filter(isNatural).length;
  const facts = [
    voices.length > 0 && t(natural ? "facts.natural" : "facts.voices", { n: number(natural || voices.length) }),
    t("facts.languages", { n: number(Object.keys(languages).length) }),
    t("facts.private"),
  ].filter(Boolean);
  find("facts").replaceChildren(...facts.map((words) => make("span", { textContent: words })));
  const always = light.filter(({ speaks }) => speaks === "always").map(({ language }) => language);
  const parts = [
    t("server.version", { version }),
    [...engines, ...(recognizer ? [recognizer] : [])].map(({ name }) => name).join(", "),
    always.length > 0 && t("server.light", { languages: always.join(", ") }),
    speaking + waiting === 0 ? t("server.idle") : t("server.load", { speaking: number(speaking), waiting: number(waiting) }),
  ];
  find("server-facts").textContent = parts.filter(Boolean).join(" · ");
  find("server-line").hidden = false;
}

find("spoken").addEventListener("toggle", () => find("spoken").open && tell(find("spoken-text"), playback.shown.spoken));
find("stop").addEventListener("click", silence);
// A fault of one text is not said of another.
find("text").addEventListener("input", () => find("problem").dataset.line || complain(""));
// Speech goes on from its sentence with the new choice.
find("compose").addEventListener("change", () => playback.differs && speak(true));
for (const file of files) file.addEventListener("click", () => saveAs(file.value));
find("pause").addEventListener("click", () => (playback.sounds ? playback.pause() : playback.play()));
// A title leads back to what is heard.
for (const [title, panel, text] of [["of", "compose-panel", "page-of-text"], ["heard-of", "listen-panel", "transcript"]]) {
  find(title).addEventListener("click", () => {
    features.showTab(panel);
    playback.stage.follow();
    find(text).scrollIntoView({ block: "nearest" });
  });
}
for (const id of ["code", "details"]) {
  find(`show-${id}`).addEventListener("click", () => {
    find(id).open = true;
    query("summary", find(id)).focus();
  });
}
find("share").addEventListener("click", async () => {
  const { share } = await import("./share-link.js");
  find("shared").textContent = await share(compose.choice);
});
otherTabs?.addEventListener("message", ({ data }) => {
  if (data === "speaks") quiet();
  if (data === "history") features.showHistory();
});
document.addEventListener("keydown", (event) => {
  // In a field of a search it empties that.
  const elsewhere = document.querySelector("dialog[open], [popover], [type=search]:focus");
  if (event.key === "Escape" && !elsewhere) silence();
});

playback.player.open();
// A link brings another text.
if (!window.location.hash) playback.reopen();
features.showHistory();
connection.open();
