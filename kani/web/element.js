/** Elements of the page: found, made, and typed into. */

/**
 * An element of a page. Only its HTML says its kind: it has the properties of all of these.
 * @typedef {HTMLInputElement & Pick<HTMLSelectElement, "options"|"selectedOptions"> & Pick<HTMLDialogElement, "open"|"showModal"|"close"> & Pick<HTMLFormElement, "reset">} Found
 */

/** The first element that fits a selector. Throws an Error where none does. @param {string} selector @param {ParentNode} place in which it is looked for @returns {Found} */
export function query(selector, place = document) {
  const found = place.querySelector(selector);
  if (!found) throw new Error(`nothing is ${selector}`);
  return /** @type {Found} */ (found);
}

/** All elements that fit a selector. @param {string} selector @param {ParentNode} place in which they are looked for */
export const queryAll = (selector, place = document) => /** @type {Found[]} */ ([...place.querySelectorAll(selector)]);

/** The element with an id. Throws an Error where there is none. @param {string} id */
export const find = (id) => query(`#${CSS.escape(id)}`);

/** Return the content of the element with a place's id in parts.html. Throws a TypeError without the server. A script may parse no HTML (Trusted Types): the browser reads the file as the document that it is. */
export async function contentOf(place) {
  const request = new XMLHttpRequest();
  request.open("GET", new URL("parts.html", import.meta.url));
  request.responseType = "document";
  await new Promise((done, failed) => {
    request.onload = done;
    request.onerror = () => failed(new TypeError("parts.html cannot be had"));
    request.send();
  });
  return document.importNode(query(`#${place.id}`, request.responseXML), true).childNodes;
}

/**
 * Make an element of a name, with properties (those of the DOM), that holds ``children``: elements or texts.
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Partial<Record<keyof HTMLElementTagNameMap[Name], unknown>>} properties
 * @param {(Node|string)[]} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function make(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Load a style sheet; without it the page works all the same. */
export function style(name) {
  const link = make("link", { rel: "stylesheet", href: new URL(name, import.meta.url).href });
  document.head.append(link);
  return new Promise((done) => (link.onload = link.onerror = done));
}

/** A button with some words. */
export const button = (textContent, onclick, properties = {}) => make("button", { type: "button", textContent, onclick, ...properties });

/** Write words into an element, unless they are there: a screen reader would read them again. */
export function tell(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

/** Have a list hold these elements, in order; one that stays keeps its place, and with it the focus. */
export function arrange(list, elements) {
  for (const child of [...list.children]) if (!elements.includes(child)) child.remove();
  for (const [at, element] of elements.entries()) if (list.children[at] !== element) list.insertBefore(element, list.children[at] ?? null);
}

/** Call with each frame that is drawn, at once first; returns what ends that. */
export function eachFrame(draw) {
  let frame = 0;
  const next = () => {
    draw();
    frame = requestAnimationFrame(next);
  };
  next();
  return () => cancelAnimationFrame(frame);
}

/** Longest text that is typed: it takes a time of its square. */
const LONGEST_TYPED = 20_000;

/** Type a text over the selection of a field; what has the focus can be undone there, with what was typed before. */
export function type(field, text) {
  // Nothing else is undone: a value that a script sets empties the browser's list.
  if (text.length <= LONGEST_TYPED && document.activeElement === field && document.execCommand(text ? "insertText" : "delete", false, text)) return;
  field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

/** Take each file that is dropped on the page while an element is shown, which has the class "over" while one is held above the page. */
export function takeDrops(zone, take) {
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (/** @type {any} */ event) => {
      const { dataTransfer } = event;
      if (!dataTransfer.types.includes("Files")) return;
      // The browser would leave the page and show the file.
      event.preventDefault();
      zone.classList.toggle("over", kind === "dragover");
      const shown = zone.getClientRects().length > 0 && [null, zone].includes(document.querySelector("dialog[open]"));
      // Later, as taking one may show another element that takes drops.
      if (kind === "drop" && shown) for (const file of dataTransfer.files) setTimeout(take, 0, file);
    });
  }
}
