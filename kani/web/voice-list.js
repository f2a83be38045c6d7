/** The voices that are kept on the server: how near each comes, and what can be done with them. */

import { compose } from "./compose.js";
import { arrange, button, find, make, style, tell } from "./element.js";
import { expected, reasonWords } from "./failures.js";
import { moment, percent, seconds, t } from "./i18n.js";
import { sample } from "./sample.js";
import { inWords, server, ServerError } from "./server.js";
import { languageName, primary } from "./voices.js";

const ASK_AGAIN_MS = 2000;

await style("lists.css");

const isRefining = (voice) => voice.engines.some(({ state }) => state === "refining");

/** Similarities of an engine: in the voice's own language, and where they were measured. */
function nearness({ engine, similarity }, language) {
  const all = Object.entries(similarity);
  const telling = all.filter(([tag, { measured }]) => measured || tag === language);
  const near = ([tag, { now, measured }]) => t(measured ? "kept.measured" : "kept.foreseen", { language: languageName(tag), now: percent(now) });
  const values = (telling.length ? telling : all).map(near);
  return t("kept.near", { engine, values: values.join(", ") });
}

/** Sentences about a voice's state in each engine. */
function sentences({ engines, language }) {
  const able = engines.filter(({ cloning }) => cloning !== "none");
  if (able.length === 0) return [t("kept.no_engine")];
  return able.map((likely) => {
    if (likely.state === "missing") return t("kept.missing", likely);
    return likely.cloning === "embedding" ? t("kept.like", likely) : nearness(likely, primary(language));
  });
}

export class VoiceList {
  #items = new Map();
  #again = 0;

  /** Show which voices are kept now. What is shown already stays where it is, and with it the focus. */
  show(voices) {
    const kept = voices.filter((voice) => voice.kept);
    this.#items = new Map(kept.map((voice) => {
      const item = this.#items.get(voice.id) ?? this.#item(voice);
      if (item.refining && !isRefining(voice)) this.say(t("kept.ready", voice));
      item.refining = isRefining(voice);
      item.facts.replaceChildren(...this.#facts(voice));
      return [voice.id, item];
    }));
    arrange(find("kept-list"), [...this.#items.values()].map(({ element }) => element));
    find("kept-empty").hidden = kept.length > 0;
    clearTimeout(this.#again);
    // Once a connection that broke stands again, the page asks anew.
    const ask = () => server.voices().then((now) => this.show(now), expected([ServerError], () => {}));
    if (kept.some(isRefining)) this.#again = setTimeout(ask, ASK_AGAIN_MS);
  }

  /** Say something of the voices, to the eye and to a screen reader. */
  say = (words) => (find("kept-state").textContent = words);

  #item(voice) {
    const facts = make("div", { className: "facts" });
    const trouble = make("p", { className: "problem", role: "alert" });
    const rename = this.#renaming(voice);
    const acts = {
      use: () => {
        compose.choose(voice.id);
        this.say(t("kept.chosen", voice));
        find("speak").focus();
      },
      play: ({ currentTarget }) => this.#play(voice, currentTarget, trouble),
      rename: rename.begin,
      delete: ({ currentTarget }) => this.#ask(voice, currentTarget, trouble),
    };
    const buttons = Object.entries(acts).map(([name, act]) => {
      const action = t(`kept.${name}`);
      const label = t("kept.of", { action, name: voice.name });
      return button(action, (event) => this.#try(trouble, () => act(event)), { className: "quiet", ariaLabel: label });
    });
    const element = make("li", {}, facts, make("div", { className: "actions" }, ...buttons), rename.form, trouble);
    return { element, facts, refining: false };
  }

  #facts(voice) {
    const language = voice.language ? languageName(voice.language) : t("kept.any");
    const told = [language, seconds(voice.duration_s), moment(Date.parse(voice.consent_at))].join(" · ");
    /** @type {HTMLElement[]} */
    const facts = [make("h3", { textContent: voice.name }), make("p", { className: "note", textContent: told })];
    if (voice.description) facts.push(make("p", { textContent: voice.description }));
    facts.push(...sentences(voice).map((words) => make("p", { className: "nearness", textContent: words })));
    if (isRefining(voice)) facts.push(make("p", { className: "refining", textContent: t("kept.refining") }));
    if (voice.advice.length) {
      const known = voice.advice_reasons.map((reason) => reasonWords(reason, `advice.${reason?.code}`));
      // The server's own words, in English, where it has no code.
      const advice = voice.advice.map((sentence, n) => (known[n] ? { textContent: known[n] } : { textContent: sentence, lang: "en" }));
      facts.push(make("ul", { className: "advice" }, ...advice.map((item) => make("li", item))));
    }
    return facts;
  }

  async #play({ id, name }, button, trouble) {
    if (button.ariaPressed === "true") return sample.stop();
    const shows = (action, ariaPressed) => {
      const textContent = t(`kept.${action}`);
      Object.assign(button, { textContent, ariaPressed, ariaLabel: t("kept.of", { action: textContent, name }) });
    };
    shows("hush", "true");
    await sample.hear(server.sample(id), (words) => tell(trouble, words)).finally(() => shows("play", "false"));
  }

  /** Ask first; the question's own button deletes, and goes with its focus. */
  #ask(voice, opener, trouble) {
    const sure = button(t("kept.delete"), () => {
      opener.focus();
      this.#try(trouble, () => this.#delete(voice));
    }, { className: "quiet" });
    // Later: what is pressed below moves up as the question goes, and would lose its click.
    sure.onblur = () => setTimeout(() => sure.isConnected && trouble.replaceChildren(), 300);
    // Safari takes the focus from a button that is pressed.
    sure.onmousedown = (event) => event.preventDefault();
    sure.onkeydown = (event) => {
      // A key that is held since it asked answers nothing.
      if (event.repeat) event.preventDefault();
      if (event.key !== "Escape") return;
      event.stopPropagation();
      opener.focus();
    };
    trouble.replaceChildren(t("kept.sure", voice), " ", sure);
    sure.focus();
  }

  async #delete({ id, name }) {
    sample.stop();
    await server.deleteVoice(id);
    await this.#changed(id, "");
    this.say(t("kept.deleted", { name }));
    // The button that had the focus is gone.
    find("add-voice").focus();
  }

  /** The form of another name, which is hidden until it is begun. */
  #renaming({ id, name }) {
    const input = make("input", { type: "text", maxLength: 64, autocomplete: "off", id: `name-${id}` });
    const trouble = make("p", { className: "problem", id: `problem-${id}`, role: "alert" });
    input.setAttribute("aria-describedby", trouble.id);
    let opener = null;
    const end = () => {
      form.hidden = true;
      opener.focus();
    };
    const save = make("button", { type: "submit", className: "quiet", textContent: t("kept.save") });
    const actions = make("div", { className: "actions" }, save, button(t("kept.cancel"), end, { className: "quiet" }));
    const label = make("label", { htmlFor: input.id, textContent: t("kept.new-name", { name }) });
    const form = make("form", { hidden: true, noValidate: true, className: "rename" }, label, input, trouble, actions);
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      end();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const wanted = input.value.trim();
      if (wanted === name) end();
      else this.#try(trouble, () => this.#rename(id, wanted), input);
    });
    const begin = ({ currentTarget }) => {
      opener = currentTarget;
      form.hidden = false;
      trouble.textContent = "";
      input.value = name;
      input.select();
    };
    return { form, begin };
  }

  /** A voice has another id, or none any more, "". */
  async #changed(before, after) {
    const chosen = compose.choice.voice === before;
    await server.learn();
    if (chosen) compose.choose(after);
  }

  async #rename(id, name) {
    const renamed = await server.renameVoice(id, name);
    await this.#changed(id, renamed.id);
    this.say(t("kept.renamed", { name: renamed.name }));
    this.#items.get(renamed.id)?.element.querySelector("button").focus();
  }

  /** Do something with a voice; what is wrong with it stands in ``trouble``, and on ``field`` if it is one's. */
  async #try(trouble, act, field = null) {
    trouble.textContent = "";
    field?.removeAttribute("aria-invalid");
    const failed = inWords((words) => {
      trouble.textContent = words;
      field?.setAttribute("aria-invalid", "true");
      field?.focus();
    });
    await (async () => act())().catch(failed);
  }
}
