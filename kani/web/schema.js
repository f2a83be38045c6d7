/** JSON schemas in words. */

/** The component that a reference names, or the part itself. */
export const resolve = (part, components) => (part.$ref ? components[part.$ref.split("/").at(-1)] : part);

function limits({ minimum, maximum, maxLength, maxItems }) {
  if (minimum !== undefined) return `${minimum} to ${maximum}`;
  if (maxLength !== undefined) return `at most ${maxLength} characters`;
  return maxItems === undefined ? "" : `at most ${maxItems}`;
}

/** The type of a value with its limits and default, in a few words. */
export function kindOf(schema) {
  if (schema.anyOf) return schema.anyOf.map(kindOf).join(" or ");
  if (schema.enum) {
    const choices = schema.enum.length > 24 ? [...schema.enum.slice(0, 24), "…"] : schema.enum;
    return choices.join(", ") + defaultOf(schema);
  }
  const types = [schema.type ?? "any"].flat().join(" or ");
  const kind = schema.contentMediaType ? "file" : types;
  const items = schema.type === "array" && schema.items ? ` of ${kindOf(schema.items)}` : "";
  const limit = limits(schema);
  return `${kind}${items}${limit && `, ${limit}`}${defaultOf(schema)}`;
}

const defaultOf = ({ default: usual }) => (usual === undefined ? "" : `; ${JSON.stringify(usual)} by default`);

/** Rows of name, type and description: of an object's fields, those of objects in it after a dot. */
export function fieldRows(given, components, prefix = "") {
  const schema = resolve(given, components);
  const required = new Set(schema.required ?? []);
  if (schema.type === "array") return fieldRows(schema.items ?? {}, components, `${prefix}[].`);
  return Object.entries(schema.properties ?? {}).flatMap(([name, each]) => {
    const kind = kindOf(each) + (required.has(name) ? ", required" : "");
    const inner = each.type === "array" ? each.items ?? {} : each;
    const below = fieldRows(inner, components, `${prefix}${name}${each.type === "array" ? "[]" : ""}.`);
    return [[prefix + name, kind, each.description ?? ""], ...below];
  });
}
