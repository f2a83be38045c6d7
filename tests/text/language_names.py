"""Writes kani_text/language_names.txt, the names of languages in all languages that CLDR has.

Babel has them in a file for each of 300 locales, which take seconds to read, so the server reads a file that
is made of them. After an update of Babel, or of ``languages.KNOWN``, write it anew:

    python -m tests.text.language_names
"""

from collections import Counter, defaultdict

from babel import Locale
from babel.localedata import locale_identifiers

from kani_text.languages import KNOWN, NAMES_FILE, normalized_name


def text_of_cldr() -> str:
    """Return the file's text: for each tag a line with the tag, a tab, and its names, separated by bars.

    A name that locales give to several tags stands for the one that most of them mean, of equals the
    shortest.
    """
    meant: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for locale in sorted(each for each in locale_identifiers() if "_" not in each):
        for code, name in Locale.parse(locale).languages.items():
            if code.partition("_")[0] in KNOWN:
                meant[normalized_name(str(name))][code.replace("_", "-")] += 1
    names: defaultdict[str, list[str]] = defaultdict(list)
    for name, tags in sorted(meant.items()):
        names[min(tags, key=lambda tag: (-tags[tag], len(tag), tag))].append(name)
    return "".join(f"{tag}\t{'|'.join(each)}\n" for tag, each in sorted(names.items()))


if __name__ == "__main__":
    NAMES_FILE.write_text(text_of_cldr(), encoding="utf-8")
