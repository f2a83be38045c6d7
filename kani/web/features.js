/** Parts of the page that most visits do not use: each is loaded when it is first used. */

import { compose } from "./compose.js";
import { part } from "./connection.js";
import { find, queryAll, takeDrops, tell } from "./element.js";
import { complain, expected } from "./failures.js";
import { history } from "./history.js";
import { t } from "./i18n.js";
import { handleTabs, reveal } from "./navigation.js";
import { playback } from "./playback.js";
import { inWords, server } from "./server.js";
import { quiet, sources } from "./sources.js";
import { Draft, Memory } from "./storage.js";

/** Usual limit of a press. */
const PRESS_MS = 300;

export class Features {
  /** Shows the panel with an id. */
  showTab;
  /** The panel that is shown, also after a reload. */
  #tab = new Memory("kani.tab", () => sessionStorage);
  #dictation = null;
  #historyList = null;
  #listenPanel = null;
  #mediaKeys = null;
  #talkPanel = null;
  /** The content of /health, as far as a conversation depends on it. */
  #health = { conversations: false, recognizer: { live: true } };
  /** The book that is read, once one was opened. */
  book = null;
  #voiceDialog = null;
  #voiceList = null;

  constructor() {
    this.showTab = handleTabs((id) => this.#showPanel((this.#tab.text = id)));
    // A link shares a text.
    if (this.#tab.text && !window.location.hash) this.showTab(this.#tab.text);
    find("dictate").addEventListener("click", () => this.#dictate().catch(told));
    // The cursor stays where the words will go.
    find("dictate").addEventListener("mousedown", (event) => event.preventDefault());
    find("add-voice").addEventListener("click", () => this.#addVoice().catch(told));
    const page = find("page-of-text");
    // A window that is not the active one has no :focus-within in Firefox. Nothing moves under a button while it is pressed.
    const typed = () => page.classList.toggle("typed-in", page.contains(document.activeElement));
    for (const kind of ["focusin", "input"]) page.addEventListener(kind, typed);
    page.addEventListener("focusout", () => setTimeout(typed, PRESS_MS));
    find("sleep").addEventListener("change", () => part(() => import("./sleep.js")).then(({ sleep }) => sleep(), told));
    find("book").addEventListener("click", () => find("book-file").showPicker());
    find("book-file").addEventListener("change", () => this.#readBook(find("book-file").files[0]));
    const hear = (file) => this.showTab("listen-panel").then(() => this.#listenPanel?.take(file));
    for (const zone of ["compose", "talk-panel"]) takeDrops(find(zone), (file) => (isSound(file) ? hear(file) : this.#readBook(file)).catch(told));
    if (new Draft("kani.book").object.id) this.#bookReader().then((book) => book.reopen(), told);
    whenOpened("parameters", () => compose.showParameters());
    whenOpened("code", async () => {
      const { codePanel } = await part(() => import("./code-samples.js"), find("code-panel"));
      codePanel(() => ({ choice: compose.choice, params: compose.params(compose.choice), key: server.key !== "" }));
    });
    whenOpened("mix", async () => (await part(() => import("./several-voices.js"), find("mix-fields"))).showMix());
    whenOpened("speakers", async () => (await part(() => import("./several-voices.js"), find("speakers-fields"))).showSpeakers());
    // The page's own files come first.
    if (document.readyState === "complete") install();
    else window.addEventListener("load", install);
  }

  async #dictate() {
    const { Dictation } = await part(() => import("./dictation.js"));
    this.#dictation ??= new Dictation();
    quiet();
    await this.#dictation.toggle(compose.choice.language);
  }

  /** End the dictation, if there is one. */
  stopDictation = () => this.#dictation?.stop();

  /** Show the kept voices, if there are any. */
  async showKept(voices) {
    if (!this.#voiceList && !voices.some(({ kept }) => kept)) return;
    const { VoiceList } = await import("./voice-list.js");
    this.#voiceList ??= new VoiceList();
    this.#voiceList.show(voices);
  }

  /** Show what is kept; most visits begin with nothing. */
  async showHistory() {
    if (!this.#historyList && history.lasts && (await history.list()).length === 0) return;
    this.#historyList ??= historyList().then(({ HistoryList }) => new HistoryList({
      reuse: (choice) => {
        this.showTab("compose-panel");
        compose.reuse(choice);
        playback.stop();
        playback.reopen();
      },
      open: (entry) => this.#open(entry).catch(told),
    }));
    await (await this.#historyList).show();
  }

  /** Tell the system that a source began, rests, goes on or has ended: the keys of a keyboard or headset act on it. */
  async sounds() {
    if (!this.#mediaKeys && !sources.current?.sounds) return;
    const module = await import("./media-keys.js").catch(expected([TypeError], () => null));
    this.#mediaKeys ??= module && new module.MediaKeys();
    this.#mediaKeys?.changed();
  }

  /** Take what the server says it can do. */
  learned(health) {
    this.#health = health;
    this.#talkPanel?.offer(health);
    if (find("tab-problem").textContent) this.#showPanel(`${document.body.dataset.tab}-panel`);
  }

  /** Show a panel by its id; one that cannot be loaded once the server is back. */
  async #showPanel(id) {
    const tab = id.replace("-panel", "");
    document.body.dataset.tab = tab === "compose" ? "speak" : tab;
    if (tab !== "listen") this.#listenPanel?.leave();
    if (tab !== "talk") this.#talkPanel?.finish();
    tell(find("tab-problem"), "");
    const fill = { listen: () => this.#showListening(), talk: () => this.#showTalk() }[tab];
    await fill?.().catch(inWords((words) => find(id).hidden || tell(find("tab-problem"), words)));
  }

  async #showListening() {
    if (this.#listenPanel) return;
    // A click on it would do nothing until then.
    const parts = queryAll("#listen-panel, #recording-card, #repeat-card");
    for (const one of parts) one.inert = true;
    const modules = () => Promise.all([import("./listen-panel.js"), historyList(), import("./media-keys.js"), import("./upload.js")]);
    const [{ ListenPanel }] = await part(modules, find("listen-panel"));
    for (const one of parts) one.inert = false;
    this.#listenPanel ??= new ListenPanel((text) => {
      this.showTab("compose-panel");
      compose.give(text);
      find("speak").focus();
      compose.speak(false);
    }, () => {
      const kept = compose.voices.find((voice) => voice.kept);
      if (kept) compose.choose(kept.id);
      else this.#addVoice().catch(told);
    });
  }

  /** Show a transcript, a conversation or a book of the history. */
  async #open(entry) {
    if (entry.kind === "book") {
      this.showTab("compose-panel");
      return (await this.#bookReader()).show(entry);
    }
    const talk = entry.kind === "talk";
    const panel = find(talk ? "talk-panel" : "listen-panel");
    await this.showTab(panel.id);
    await (talk ? this.#talkPanel : this.#listenPanel)?.open(entry);
    if (panel.getBoundingClientRect().top < 0) panel.scrollIntoView();
  }

  async #showTalk() {
    const [{ TalkPanel }] = await part(() => Promise.all([import("./talk-panel.js"), historyList()]), find("talk-panel"));
    this.#talkPanel ??= new TalkPanel();
    this.#talkPanel.offer(this.#health);
  }

  async #bookReader() {
    const [{ Book }] = await part(() => Promise.all([import("./book.js"), import("./media-keys.js")]), find("book-open"));
    return (this.book ??= new Book());
  }

  /** Read a book's file, if there is one. */
  async #readBook(file) {
    if (!file) return;
    this.showTab("compose-panel");
    await this.#bookReader().then((book) => book.read(file), told);
    // The same file may be chosen again.
    find("book-file").value = "";
  }

  async #addVoice() {
    const { VoiceDialog } = await part(() => import("./voice-dialog.js"), find("voice-dialog"));
    this.#voiceDialog ??= new VoiceDialog(async ({ id, name }) => {
      await server.learn();
      compose.choose(id);
      this.#voiceList.say(t("kept.done", { name }));
    });
    this.#voiceDialog.open(compose.languages);
  }
}

const told = inWords(complain);

/** True if a file is a recording; not every system knows the kind of each. */
const isSound = ({ type, name }) => /^(audio|video)\//.test(type) || /\.(mp3|m4a|wav|ogg|oga|opus|flac|aac|wma|mp4|webm|mov|mkv)$/i.test(name);

/** The module that shows the history: it is loaded while the server is there. */
export const historyList = () => import("./history-list.js");

/** Install the page as an application, which opens without the server: browsers do over https and on this machine itself. */
async function install() {
  // A browser that keeps nothing keeps no worker, and complains of the attempt.
  if (!navigator.cookieEnabled) return;
  const policy = /** @type {any} */ (window).trustedTypes?.createPolicy("shell", { createScriptURL: () => new URL("service-worker.js", document.baseURI).href });
  // Not in a private window, nor with a certificate that the browser was made to accept.
  const failed = expected([DOMException, TypeError], ({ message }) => console.info("not installable:", message));
  await navigator.serviceWorker?.register(policy ? policy.createScriptURL("") : "service-worker.js").catch(failed);
}

/** Call when a part of the page is first opened; at the next opening again if it could not be loaded. */
function whenOpened(id, show) {
  const again = inWords(() => whenOpened(id, show));
  // Its content that has come by then is shown, too.
  find(id).addEventListener("toggle", () => show().then(() => reveal(find(id)), again), { once: true });
}
