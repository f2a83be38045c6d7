/** The menu of the languages that the server's recogniser knows. */

import { t } from "./i18n.js";
import { fill, languageName } from "./voices.js";

/** Languages that the server's recogniser knows (Whisper's), as primary subtags. */
export const HEARD_LANGUAGES =
  ("af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr ht hu hy id is it ja " +
  "jv ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru sa sd si sk sl sn so sq " +
  "sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo zh").split(" ");

/** Languages that some browsers have no name for, with their own names. */
const UNNAMED = /** @type {any[]} */ ([{ language: "ba", name: "Башҡортса" }, { language: "bo", name: "བོད་སྐད་" }]);

/** Fill a <select> with them, by their names; its first choice, "", is to detect the language: first, in words. */
export function offerHeard(select, first = t("language.auto")) {
  const names = HEARD_LANGUAGES.map((tag) => [tag, languageName(tag, UNNAMED)]).sort(([, one], [, other]) => one.localeCompare(other));
  fill(select, [["", [["", first], ...names]]], "");
}
