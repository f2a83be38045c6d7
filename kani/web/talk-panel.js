/** The third tab: a conversation with a language model. */

import { copied } from "./clipboard.js";
import { compose } from "./compose.js";
import { eachFrame, find, queryAll, style, tell } from "./element.js";
import { expected } from "./failures.js";
import { offerHeard } from "./heard-languages.js";
import { history } from "./history.js";
import { isHere, t } from "./i18n.js";
import { meterOf } from "./meter.js";
import { Microphone } from "./microphone.js";
import { Player } from "./player.js";
import { sources } from "./sources.js";
import { sample } from "./sample.js";
import { server } from "./server.js";
import { Draft, KEPT_WITHIN_MS, newId, remember } from "./storage.js";
import { dialogueOf, TalkLines } from "./talk-lines.js";
import { TalkSession } from "./talk-session.js";
import { offerUndo } from "./toast.js";
import "./texts-talk.js";

/** A shorter press of the button of push-to-talk keeps it held, until it is pressed again. */
const TAP_MS = 350;

/** Words for what goes on. */
const STATES = { hearing: "listen.listening", thinking: "talk.thinking", speaking: "status.speaking", rests: "status.paused" };

await style("talk.css");

export class TalkPanel {
  /** The elements of the tab, by their ids: "stop" is "talk-stop". */
  #view = Object.fromEntries(queryAll("[id^=talk-]", find("talk-panel")).map((element) => [element.id.replace("talk-", ""), element]));
  #button = find("talk");
  #lines = new TalkLines({ edit: (n) => this.#edit(n), again: (text) => this.#sayAgain(text), copied: (words) => this.#say(words) });
  /** The language model's name, as far as it is known. */
  #model = "";
  #meter = meterOf(this.#button);
  #player = new Player(() => {});
  #session = null;
  /** Id of the conversation that is shown, and what is written and not sent; for a reload. */
  #draft = new Draft("kani.talking");
  /** Id and time of the conversation that is shown. */
  #shown = { id: "", time: 0 };
  /** True while the microphone is asked for. */
  #asking = false;
  /** Timer of when it is kept next. */
  #keeping = 0;
  /** The latest answer, and what ends that its words are lit. */
  #answer = null;
  #rests = () => {};
  /** Time at which the button of push-to-talk was pressed; again: it was held by then. */
  #pressed = { at: 0, again: false };

  constructor() {
    const { copy, copying, command, end, fresh, how, language, mode, persona, stop, take, text, write } = this.#view;
    offerHeard(language);
    this.#button.disabled = !Microphone.possible;
    // Commands are for the server's own machine.
    how.open = isHere && matchMedia("(pointer: fine) and (min-width: 621px)").matches;
    remember(mode, "kani.talk");
    remember(persona, "kani.persona");
    write.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#write(text.value.trim());
    });
    text.addEventListener("input", () => this.#remember());
    for (const choice of [language, mode, persona, find("voice")]) {
      choice.addEventListener(choice.id === "voice" ? "chosen" : "change", () => {
        this.#session?.configure(this.#settings);
        this.#tellWho();
        this.#invite();
      });
    }
    take.addEventListener("click", async () => this.#say(t(`code.${await copied(this.#view.lines, dialogueOf(this.#lines.lines))}`)));
    copy.addEventListener("click", async () => (copying.textContent = t(`code.${await copied(command)}`)));
    stop.addEventListener("click", () => stop.ariaDisabled === "true" || this.stop());
    end.addEventListener("click", () => this.finish());
    fresh.addEventListener("click", () => this.open({ id: "", time: 0, lines: [] }));
    this.#takePresses(this.#button);
    sources.all.push(this);
    this.#ended();
    // A page without a microphone has not failed.
    if (!Microphone.possible) this.#say(t("talk.insecure"));
    this.#reopen();
  }

  /** Show what was there before a reload. */
  async #reopen() {
    const { id, written = "" } = this.#draft.object;
    this.#view.text.value ||= written;
    const entry = id && (await history.find(id));
    if (entry && !this.#session) await this.open(entry);
  }

  get sounds() {
    return this.#session?.rests === false;
  }

  get rests() {
    return this.#session?.rests === true;
  }

  told = { title: t("tab.talk"), artist: "Kani" };

  fade = (share) => (this.#player.volume = share * find("volume").valueAsNumber);

  pause() {
    this.#session?.rest(true);
    this.#changed();
  }

  play() {
    if (!this.#session) return;
    sources.begin(this);
    this.#session.rest(false);
    this.#changed();
  }

  stop = () => this.#session?.interrupt();

  #changed() {
    this.#invite();
    sources.changed();
  }

  #remember = () => (this.#draft.object = { id: this.#shown.id, written: this.#view.text.value });

  /** Show what can be done, by what /health says. */
  offer({ conversations, recognizer, chat_model: model = "" }) {
    this.#model = model;
    this.#tellWho();
    const { setup, room, needed, operator, how } = this.#view;
    setup.hidden = conversations;
    room.hidden = !conversations;
    needed.textContent = t(recognizer?.live ? "talk.needed" : "talk.recordings");
    for (const part of [operator, how]) part.hidden = !recognizer?.live;
  }

  /** Tell the model's name, and what it is told to be. */
  #tellWho = () => tell(this.#view.who, [this.#model, this.#settings.persona].filter(Boolean).join(" · "));

  /** Say what goes on; without words, what the round button does. */
  #say(words) {
    tell(this.#view.status, words);
    this.#view.invitation.hidden = words !== "";
  }

  /** Have what was said be written anew: it and what follows are taken out, and can be brought back. @param {number} n of the turn */
  async #edit(n) {
    const { lines } = this.#lines;
    const { id, time } = this.#shown;
    await this.open({ id, time, lines: lines.slice(0, n) });
    offerUndo(t("text.replaced"), () => this.open({ id, time, lines }), "talk-text");
    this.#view.text.value = lines[n].text;
    this.#view.text.focus();
    this.#remember();
  }

  /** Say an answer again, in the voice that is chosen now. */
  async #sayAgain(text) {
    this.#session?.interrupt();
    tell(this.#view.problem, "");
    await sample.hear(server.speech({ ...this.#settings, text }), (words) => tell(this.#view.problem, words));
  }

  /** Show a conversation of the history, which can go on; one without turns begins anew. */
  async open({ id, time, lines }) {
    await this.finish();
    this.#shown = { id, time };
    this.#remember();
    this.#lines.show(lines);
    this.#ended();
  }

  /** End the conversation. */
  async finish() {
    const session = this.#session;
    this.#session = null;
    if (!session) return;
    const focused = document.activeElement === this.#view.end;
    await session.finish();
    this.#ended();
    if (focused) this.#button.focus();
  }

  /** Have the button begin, end, or be held for a turn, by a pointer, a key, or what clicks without either. */
  #takePresses(button) {
    const holds = () => this.#session?.microphone && this.#holds && !this.rests;
    button.addEventListener("pointerdown", (event) => {
      if (!holds() || event.button !== 0) return;
      button.setPointerCapture(event.pointerId);
      this.#press();
    });
    for (const kind of ["pointerup", "pointercancel", "blur"]) button.addEventListener(kind, () => this.#release());
    for (const kind of ["keydown", "keyup"]) {
      button.addEventListener(kind, (event) => {
        if (!holds() || ![" ", "Enter"].includes(event.key)) return;
        // It is no click.
        event.preventDefault();
        if (kind === "keyup") this.#release();
        else if (!event.repeat) this.#press();
      });
    }
    button.addEventListener("contextmenu", (event) => holds() && event.preventDefault());
    button.addEventListener("click", ({ detail }) => {
      if (this.rests) this.play();
      else if (!this.#session?.microphone) this.#listen();
      else if (!this.#holds) this.finish();
      else if (detail === 0) {
        // A screen reader clicks without pressing.
        this.#press();
        this.#release();
      }
    });
  }

  /** True by push-to-talk. */
  get #holds() {
    return this.#view.mode.value === "hold";
  }

  #press() {
    this.#pressed = { at: performance.now(), again: this.#session.held };
    if (!this.#session.held) this.#session.press();
    this.#invite();
  }

  #release() {
    if (!this.#session?.held) return;
    if (!this.#pressed.again && performance.now() < this.#pressed.at + TAP_MS) return;
    this.#session.release();
    this.#invite();
  }

  get #settings() {
    const { voice, speed } = compose.choice;
    return {
      language: this.#view.language.value,
      voice: voice || "default",
      // The server takes no others.
      speed: Math.min(Math.max(speed, 0.25), 1.5),
      hold: this.#holds,
      persona: this.#view.persona.value.trim(),
    };
  }

  /** Send what was written. */
  #write(text) {
    if (!text) return;
    if (!this.#session) this.#begin();
    if (this.rests) this.play();
    this.#view.text.value = "";
    this.#remember();
    this.#session.write(text);
    this.#lines.complete(newId(), text);
    this.#keep();
    this.#invite();
  }

  /** Open the microphone; without it one writes. */
  async #listen() {
    if (this.#asking) return;
    if (!this.#session) this.#begin();
    const session = this.#session;
    this.#view.problem.textContent = "";
    this.#asking = true;
    const refused = expected([DOMException], () => this.#session === session && tell(this.#view.problem, t("clone.microphone")));
    await session.listen().catch(refused).finally(() => (this.#asking = false));
    if (this.#session !== session) return session.finish();
    if (session.microphone) session.begin();
    else if (!session.socket) return this.finish();
    this.#invite();
  }

  #begin() {
    this.#view.problem.textContent = "";
    sources.begin(this);
    this.#shown = { id: this.#shown.id || newId(), time: Date.now() };
    this.#remember();
    this.#say(t("line.connecting"));
    this.#player.volume = find("volume").valueAsNumber;
    this.#session = new TalkSession(this.#player, this.#settings, this.#handlers(), this.#lines.lines);
    this.#view.more.open = false;
    this.#changed();
  }

  #handlers() {
    return {
      state: (state) => this.#become(state),
      level: (level) => this.#meter.show(level),
      wrote: (item, text) => this.#lines.write(item, text),
      understood: (item, text) => {
        this.#lines.complete(item, text);
        this.#keep();
        if (!text) this.#say(t("listen.nothing"));
      },
      begins: () => {
        this.#view.problem.textContent = "";
        this.#answer = this.#lines.answer();
        this.#rests();
        this.#rests = eachFrame(() => this.#session && this.#answer.show(this.#player.heard()));
      },
      text: (words) => this.#answer.write(words),
      audio: (length) => {
        this.#answer.audio(length);
        this.#keeping ||= setTimeout(() => this.#keep(), KEPT_WITHIN_MS);
      },
      ends: (at) => {
        this.#rests();
        if (at === undefined) this.#answer.end();
        else this.#answer.cut(at);
        this.#keep();
      },
      waits: (words) => this.#say(words),
      failed: (words) => (this.#view.problem.textContent = words),
      lost: (words) => {
        this.#session = null;
        this.#ended();
        this.#view.problem.textContent = words;
      },
    };
  }

  /** Show what goes on: "idle", "hearing", "thinking", "speaking", or "off". */
  #become(state) {
    const shown = this.rests ? "rests" : state;
    find("talk-room").dataset.state = shown === "idle" && this.#session?.microphone ? "hearing" : shown;
    // One that is disabled would lose the focus.
    this.#view.stop.ariaDisabled = String(!["thinking", "speaking"].includes(state));
    const idle = this.#session?.microphone ? t(this.#holds ? "talk.ready" : "listen.listening") : "";
    this.#say(shown in STATES ? t(STATES[shown]) : idle);
  }

  #keep() {
    clearTimeout(this.#keeping);
    this.#keeping = 0;
    const { lines } = this.#lines;
    if (lines.length) history.add({ kind: "talk", ...this.#shown, lines });
  }

  #ended() {
    this.#keep();
    this.#rests();
    this.#meter.rest();
    this.#view.more.open = !this.#lines.lines.length;
    this.#become("off");
    this.#changed();
  }

  /** Say what the round button does. */
  #invite() {
    const { name, invitation, take, fresh, stop, end } = this.#view;
    const some = this.#lines.lines.length > 0;
    const listens = Boolean(this.#session?.microphone);
    const held = this.#holds ? Boolean(this.#session?.held) : listens;
    this.#button.ariaPressed = String(held);
    const does = this.#holds ? (held ? "talk.release" : "talk.hold") : "talk.end";
    const begins = this.#session ? "listen.start" : some ? "talk.go-on" : "talk.start";
    name.textContent = invitation.textContent = t(this.rests ? "talk.go-on" : listens ? does : begins);
    take.hidden = fresh.hidden = Boolean(this.#session) || !some;
    // While it goes on they stay where they are.
    end.hidden = stop.hidden = !this.#session;
  }
}
