/** Elements of the page that a script makes. */

/** Make an element of a name, with properties (those of the DOM), that holds ``children``: elements or texts. */
export function make(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}
