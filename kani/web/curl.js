/** The curl command of a call. */

/** A text as one word of a shell. */
export const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The path of a call, with the example of each parameter in it. */
export function pathOf({ path, parameters }) {
  const schemas = Object.fromEntries(parameters.map(({ name, schema }) => [name, schema]));
  return path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(schemas[name].examples?.[0] ?? schemas[name].enum?.[0] ?? name));
}

function bodyOf({ kind, media }) {
  if (!media) return [];
  if (kind === "multipart/form-data") return Object.entries(media.example).map(([name, value]) => `-F ${quote(`${name}=${value}`)}`);
  const data = kind === "application/json" ? JSON.stringify(media.example) : media.example;
  return [`-H ${quote(`Content-Type: ${kind}`)}`, `--data-binary ${quote(data)}`];
}

/** True if an answer is bytes, which a terminal cannot show. */
const isBinary = ({ responses }) => Object.entries(responses).some(([status, { content = {} }]) =>
  status.startsWith("2") && Object.keys(content).some((kind) => kind.startsWith("audio/") || kind === "application/octet-stream"));

/** The command with the call's example; the key is that of the variable KANI_API_KEY. */
export function curl(origin, call) {
  const parts = [`curl ${call.method === "GET" ? "" : `-X ${call.method} `}${quote(origin + pathOf(call))}`];
  if (call.security.length) parts.push('-H "Authorization: Bearer $KANI_API_KEY"');
  parts.push(...bodyOf(call));
  if (isBinary(call)) parts.push("-o answer");
  return parts.join(" \\\n  ");
}
