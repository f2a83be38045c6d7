/** The third tab: a conversation with a language model. */

import { copied } from "./clipboard.js";
import { compose } from "./compose.js";
import { eachFrame, find, queryAll, style, tell } from "./element.js";
import { expected } from "./failures.js";
import { offerHeard } from "./heard-languages.js";
import { history } from "./history.js";
import { isHere, number, t, translate } from "./i18n.js";
import { meterOf } from "./meter.js";
import { Microphone } from "./microphone.js";
import { Player } from "./player.js";
import { sources } from "./sources.js";
import { Draft, KEPT_WITHIN_MS, newId, remember } from "./storage.js";
import { dialogueOf, TalkLines } from "./talk-lines.js";
import { TalkSession } from "./talk-session.js";
import "./texts-talk.js";

/** A shorter press of the button of push-to-talk keeps it held, until it is pressed again. */
const TAP_MS = 350;

/** Words for what goes on. */
const STATES = { hearing: "listen.listening", thinking: "talk.thinking", speaking: "status.speaking" };

const panel = find("talk-panel");

await style("talk.css");

export class TalkPanel {
  /** The elements of the tab, by their ids: "stop" is "talk-stop". */
  #view = elements();
  #button = find("talk");
  #lines = new TalkLines();
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
  /** When the button of push-to-talk was pressed, and whether it was held by then. */
  #pressed = { at: 0, again: false };

  constructor() {
    const { copy, copying, command, end, fresh, how, language, mode, persona, stop, take, text, write } = this.#view;
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
        this.#invite();
      });
    }
    take.addEventListener("click", async () => tell(this.#view.status, t(`code.${await copied(this.#view.lines, dialogueOf(this.#lines.lines))}`)));
    copy.addEventListener("click", async () => (copying.textContent = t(`code.${await copied(command)}`)));
    stop.addEventListener("click", () => this.#session?.interrupt());
    end.addEventListener("click", () => this.finish());
    fresh.addEventListener("click", () => this.open({ id: "", time: 0, lines: [] }));
    this.#takePresses(this.#button);
    sources.all.push(this);
    this.#ended();
    // A page without a microphone has not failed.
    if (!Microphone.possible) tell(this.#view.status, t("talk.insecure"));
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

  get told() {
    return { title: t("tab.talk"), artist: "Kani" };
  }

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

  stop() {
    this.#session?.interrupt();
  }

  #changed() {
    this.#invite();
    sources.changed();
  }

  #remember = () => (this.#draft.object = { id: this.#shown.id, written: this.#view.text.value });

  /** Show what can be done, by what /health says. */
  offer({ conversations, recognizer }) {
    const { setup, room, needed, operator, how } = this.#view;
    setup.hidden = conversations;
    room.hidden = !conversations;
    needed.textContent = t(recognizer?.live ? "talk.needed" : "talk.recordings");
    for (const part of [operator, how]) part.hidden = !recognizer?.live;
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
    const holds = () => this.#session?.microphone && this.#holds;
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
      if (!this.#session?.microphone) this.#listen();
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
    tell(this.#view.status, t("line.connecting"));
    this.#player.volume = find("volume").valueAsNumber;
    this.#session = new TalkSession(this.#player, this.#settings, this.#handlers(), this.#lines.lines);
    this.#view.more.open = false;
    this.#invite();
  }

  #handlers() {
    return {
      state: (state) => {
        this.#view.stop.hidden = state !== "thinking" && state !== "speaking";
        const idle = this.#holds ? "talk.ready" : "listen.listening";
        tell(this.#view.status, state !== "idle" || this.#session?.microphone ? t(STATES[state] ?? idle) : "");
      },
      level: (level) => this.#meter.show(level),
      wrote: (item, text) => this.#lines.write(item, text),
      understood: (item, text) => {
        this.#lines.complete(item, text);
        this.#keep();
        if (!text) tell(this.#view.status, t("listen.nothing"));
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
      latency: (time) => this.#answer.note(t("talk.latency", { time: t("seconds", { n: number(time, 2) }) })),
      waits: (words) => tell(this.#view.status, words),
      failed: (words) => (this.#view.problem.textContent = words),
      lost: (words) => {
        this.#session = null;
        this.#ended();
        this.#view.problem.textContent = words;
      },
    };
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
    this.#view.stop.hidden = true;
    tell(this.#view.status, "");
    this.#invite();
  }

  /** Say what the round button does. */
  #invite() {
    const { name, invitation, take, fresh } = this.#view;
    const some = this.#lines.lines.length > 0;
    const listens = Boolean(this.#session?.microphone);
    const held = this.#holds ? Boolean(this.#session?.held) : listens;
    this.#button.ariaPressed = String(held);
    const does = this.#holds ? (held ? "talk.release" : "talk.hold") : "talk.end";
    const begins = this.#session ? "listen.start" : some ? "talk.go-on" : "talk.start";
    name.textContent = invitation.textContent = t(listens ? does : begins);
    take.hidden = fresh.hidden = Boolean(this.#session) || !some;
    // By hands-free the round button ends it, while it listens.
    this.#view.end.hidden = !this.#session || (listens && !this.#holds);
  }
}

/** The tab's elements, in the page's language, by their ids. */
function elements() {
  translate(panel);
  offerHeard(find("talk-language"));
  return Object.fromEntries(queryAll("[id^=talk-]", panel).map((element) => [element.id.replace("talk-", ""), element]));
}
