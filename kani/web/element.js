/** Elements of the page: found, made, and typed into. */

/** The element with an id. */
export const find = (id) => document.getElementById(id);

/** Make an element of a name, with properties (those of the DOM), that holds ``children``: elements or texts. */
export function make(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Type a text over the selection of a field; what has the focus can be undone there, with what was typed before. */
export function type(field, text) {
  // Nothing else is undone: a value that a script sets empties the browser's list.
  if (document.activeElement === field && document.execCommand(text ? "insertText" : "delete", false, text)) return;
  field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

/** Take a file that is dropped on an element, which has the class "over" while one is held above it. */
export function takeDrops(zone, take) {
  const over = (is) => zone.classList.toggle("over", is);
  zone.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    over(true);
  });
  zone.addEventListener("dragleave", () => over(false));
  zone.addEventListener("drop", (event) => {
    over(false);
    const [file] = event.dataTransfer.files;
    if (!file) return;
    event.preventDefault();
    take(file);
  });
}
