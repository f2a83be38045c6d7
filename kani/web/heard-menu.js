/** The menu of the languages that the server's recogniser knows. */

import { HEARD_LANGUAGES } from "./heard-languages.js";
import { t } from "./i18n.js";
import { fill, languageName } from "./voices.js";

/** Fill a <select> with them, by their names; its first choice, "", is to detect the language: first, in words. */
export function offerHeard(select, first = t("language.auto")) {
  const names = HEARD_LANGUAGES.map((tag) => [tag, languageName(tag)]).sort(([, one], [, other]) => one.localeCompare(other));
  fill(select, [["", [["", first], ...names]]], "");
}
