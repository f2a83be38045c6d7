/** The third tab's elements. */

import { field, make, query } from "./element.js";
import { offerHeard } from "./heard-menu.js";
import { t } from "./i18n.js";
import { fill } from "./voices.js";

/** What a language model's server is started with, and this one. */
const MODEL = "ollama serve";
const SERVER = "python start_websocket_server.py --llm http://localhost:11434/v1";

/** The elements that the panel acts on, by their names; all of them are put into ``panel``. */
export function buildTalk(panel) {
  const view = { ...setup(), ...room(), title: make("h2", { id: "talk-title", className: "hidden", textContent: t("tab.talk") }) };
  const card = make("section", { className: "card listen talk" }, view.title, view.setup, view.room);
  card.setAttribute("aria-labelledby", "talk-title");
  panel.append(card);
  return view;
}

/** What to do where the server has no language model, or hears no live speech. */
function setup() {
  const command = make("code", { id: "talk-command", dir: "ltr", textContent: SERVER });
  const copy = make("button", { type: "button", id: "talk-copy", textContent: t("code.copy") });
  const copied = make("span", { className: "note", role: "status" });
  const steps = make("ol", {},
    make("li", {}, t("talk.model"), make("code", { dir: "ltr", textContent: MODEL })),
    make("li", {}, t("talk.server"), command, make("div", { className: "actions" }, copy, copied)),
  );
  const note = make("p", { className: "note", textContent: t("talk.any") });
  const needed = make("p");
  const box = make("div", { className: "talk-setup", hidden: true }, needed, steps, note);
  return { setup: box, needed, remedy: [steps, note], command, copy, copying: copied };
}

/** The conversation. */
function room() {
  const lines = make("div", { className: "talk-lines", role: "region", tabIndex: 0, ariaLabel: t("talk.lines"), hidden: true });
  const name = make("span", { className: "hidden" });
  const icon = query("#listen svg").cloneNode(true);
  const button = make("button", { type: "button", id: "talk", className: "record" }, icon, name);
  const invitation = make("p", { className: "invitation", ariaHidden: "true" });
  const status = make("p", { id: "talk-status", className: "status", role: "status" });
  const problem = make("p", { id: "talk-problem", className: "problem", role: "alert" });
  const stop = make("button", { type: "button", id: "talk-stop", hidden: true, textContent: t("talk.stop") });
  stop.setAttribute("aria-keyshortcuts", "Escape");
  const end = make("button", { type: "button", id: "talk-end", hidden: true, textContent: t("talk.end") });
  const take = make("button", { type: "button", id: "talk-take", hidden: true, textContent: t("code.copy") });
  const fresh = make("button", { type: "button", id: "talk-fresh", hidden: true, textContent: t("talk.fresh") });
  const actions = make("div", { className: "actions" }, stop, end, take, fresh);
  const microphone = make("div", { className: "microphone" }, button);
  const recorder = make("div", { className: "recorder" }, microphone, invitation, status, actions, problem);

  const written = make("input", { type: "text", id: "talk-text", autocomplete: "off", ariaLabel: t("talk.write"), placeholder: t("talk.write") });
  const writing = make("form", { className: "talk-write" }, written, make("button", { type: "submit", textContent: t("talk.send") }));
  const persona = make("input", { type: "text", id: "talk-persona", autocomplete: "off", placeholder: t("talk.persona.example") });

  const language = make("select", { id: "talk-language" });
  offerHeard(language);
  const mode = make("select", { id: "talk-mode" });
  fill(mode, [["", [["", t("talk.free")], ["hold", t("talk.held")]]]], "");
  const choices = make("div", { className: "listen-choices" }, field(language, t("listen.language")), field(mode, t("talk.mode")), field(persona, t("talk.persona")));
  const note = make("p", { className: "note", textContent: t("talk.private") });
  const more = make("details", { className: "talk-more", open: true }, make("summary", { textContent: t("rest.menu") }), choices, note);
  const box = make("div", { className: "talk-room", hidden: true }, lines, recorder, writing, more);
  return { room: box, lines, button, name, invitation, status, problem, stop, end, take, fresh, writing, written, more, persona, language, mode };
}
