/** The page of HTTP calls: shows the server's OpenAPI document. */

import { copied } from "./clipboard.js";
import { curl } from "./curl.js";
import { sendBlock } from "./docs-send.js";
import { button, find, make, queryAll } from "./element.js";
import { fieldRows, kindOf, resolve } from "./schema.js";

/** The calls that most come for, which can be sent from here. */
const MAIN = ["POST /v1/audio/speech", "POST /v1/audio/transcriptions", "POST /v1/text-to-speech/{voice_id}", "POST /tts", "GET /v1/audio/voices"];
const MAIN_TAG = { name: "Speech and transcription", description: "The calls that most programs need. Each can be sent from here." };
/** The pages' own files, which no program asks for. */
const PAGES = /^\/(docs|service-worker\.js|manifest\.webmanifest|openapi\.json|static\/.*)?$/;

/** A table that can be scrolled; name: of its call, as many are open at once. */
function table(name, caption, heads, rows) {
  const cells = (kind, values, more) => values.map((value) => make(kind, more, value));
  const body = rows.map(([first, ...rest]) => make("tr", {}, make("th", { scope: "row" }, make("code", {}, first)), ...cells("td", rest)));
  const head = make("thead", {}, make("tr", {}, ...cells("th", heads, { scope: "col" })));
  return make("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: `${name}: ${caption}` }, make("table", {}, head, make("tbody", {}, ...body)));
}

/** A table below a heading, if it has rows. */
const titled = (name, title, heads, rows) => (rows.length ? [make("h3", {}, title), table(name, title, heads, rows)] : []);

/** The heading and table of a body or an answer of JSON; nothing for other contents. */
const schemaTable = (name, title, schema, components) => titled(name, title, ["Field", "Type", "Description"], fieldRows(schema, components.schemas));

/** A path that may be broken before each slash. */
const breakable = (path) => path.split(/(?=\/)/).flatMap((part) => [make("wbr"), part]);

function curlBlock(call) {
  const code = make("code", {}, curl(location.origin, call));
  const copy = async () => {
    const selected = (await copied(code)) === "selected";
    find("state").textContent = selected ? "Selected: copy it with the keyboard" : `Copied: ${call.name}`;
  };
  const copying = button("Copy as curl", copy, { className: "quiet", ariaLabel: `Copy as curl: ${call.name}` });
  return [make("div", { className: "curl-head" }, make("h3", {}, "curl"), copying), make("pre", {}, code)];
}

function keys(call) {
  if (call.security.length === 0) return "No key is needed.";
  const some = call.security.some((way) => Object.keys(way).length === 0);
  return some ? "Programs on the server's own machine need no key; others do, where the server has one." : "A key is needed.";
}

function parameters(call) {
  const rows = call.parameters.map(({ name, in: place, required, schema, description = "" }) => [name, place + (required ? ", required" : ""), kindOf(schema), description]);
  return titled(call.name, "Parameters", ["Name", "Place", "Type", "Description"], rows);
}

function body({ name, kind, media }, components) {
  if (!media) return [];
  const { description } = resolve(media.schema, components.schemas);
  const note = description ? [make("p", {}, description)] : [];
  return [...schemaTable(name, `Body: ${kind}`, media.schema, components), ...note];
}

function answers(call, components) {
  const all = Object.entries(call.responses).map(([status, each]) => [status, resolve(each, components.responses)]);
  const rows = all.map(([status, { description, content = {} }]) => [status, description, Object.keys(content).join(", ")]);
  const ok = all.find(([status]) => status.startsWith("2"))?.[1];
  const schema = ok?.content?.["application/json"]?.schema;
  const headers = Object.entries(ok?.headers ?? {}).map(([name, each]) => [name, each.description]);
  return [
    ...titled(call.name, "Answers", ["Status", "Description", "Content"], rows),
    ...titled(call.name, "Headers", ["Name", "Description"], headers),
    ...(schema ? schemaTable(call.name, "Fields of the answer", schema, components) : []),
  ];
}

function details(call, components) {
  const about = call.description ? [make("p", {}, call.description)] : [];
  return make("div", { className: "detail" },
    ...about, make("p", { className: "what" }, keys(call)),
    ...(MAIN.includes(call.name) ? [sendBlock(call)] : []),
    ...parameters(call), ...body(call, components), ...answers(call, components), ...curlBlock(call));
}

function callElement(call, components) {
  const summary = [make("code", { className: "verb" }, call.method), make("code", {}, ...breakable(call.path)), make("span", { className: "what" }, call.summary)];
  const element = make("details", { className: "call", id: call.operationId }, make("summary", {}, ...summary));
  // Sixty calls: the tables of one are made when it is opened.
  element.addEventListener("toggle", () => element.open && element.children.length === 1 && element.append(details(call, components)));
  return element;
}

/** The calls of a document, each with its method, path and name, and of its body the kind and the description, if it has one. */
function callsOf(spec) {
  const paths = Object.entries(spec.paths).filter(([path]) => !PAGES.test(path));
  return paths.flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => {
      const [kind, media] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
      const named = { path, method: method.toUpperCase(), name: `${method.toUpperCase()} ${path}` };
      return { parameters: [], security: spec.security, ...operation, ...named, kind, media };
    }));
}

function show(spec) {
  const calls = callsOf(spec);
  const shown = [];
  const main = MAIN.map((name) => calls.find((call) => call.name === name)).filter(Boolean);
  // The server's own calls are for its operator: the last.
  const tags = [...spec.tags].sort((one, other) => Number(one.name === "Server") - Number(other.name === "Server"));
  for (const tag of [MAIN_TAG, ...tags]) {
    const own = tag === MAIN_TAG ? main : calls.filter((call) => call.tags[0] === tag.name && !main.includes(call));
    const id = `group-${tag.name.toLowerCase().replaceAll(/\W+/g, "-")}`;
    const section = make("section", { className: "group", id }, make("h2", {}, tag.name), make("p", {}, tag.description));
    const list = make("ul");
    find("contents").append(make("li", {}, make("a", { href: `#${id}` }, tag.name), list));
    for (const call of own) {
      const element = callElement(call, spec.components);
      section.append(element);
      const entry = make("li", {}, make("a", { href: `#${call.operationId}` }, make("code", {}, ...breakable(call.name))));
      list.append(entry);
      shown.push({ element, entry, words: `${call.name} ${call.summary} ${call.tags.join(" ")}`.toLowerCase() });
    }
    find("calls").append(section);
  }
  return shown;
}

function filter(shown) {
  const words = find("filter").value.toLowerCase().split(/\s+/);
  for (const { element, entry, words: own } of shown) {
    element.hidden = entry.hidden = !words.every((word) => own.includes(word));
  }
  for (const group of queryAll(".group, #contents > li")) group.hidden = !group.querySelector(":is(.call, li):not([hidden])");
  const left = shown.filter(({ element }) => !element.hidden).length;
  find("state").textContent = `${left} of ${shown.length} calls`;
}

/** Open the call that the address names. */
function openNamed() {
  const named = location.hash && document.getElementById(location.hash.slice(1));
  if (!(named instanceof HTMLDetailsElement)) return;
  named.open = true;
  named.scrollIntoView();
}

async function start() {
  const answer = await fetch("openapi.json");
  if (!answer.ok) throw new Error(`openapi.json: ${answer.status}`);
  const spec = await answer.json();
  find("about").textContent = `${spec.info.title} ${spec.info.version}`;
  const shown = show(spec);
  filter(shown);
  find("filter").addEventListener("input", () => filter(shown));
  find("search").addEventListener("submit", (event) => event.preventDefault());
  find("contents-menu").open = matchMedia("(min-width: 980px)").matches;
  addEventListener("hashchange", openNamed);
  openNamed();
}

start().catch((error) => (find("state").textContent = `The document could not be loaded: ${error.message}`));
