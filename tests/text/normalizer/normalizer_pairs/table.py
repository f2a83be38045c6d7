"""Written texts and their readings: the pairs beside this file, and the comparison of readings.

README.md says where they come from and how they are written down.
"""

import re
import unicodedata
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
LANGUAGES = ("es", "en", "fr", "de", "it", "pt", "ar", "hi", "zh", "ja")
UNSPACED = ("zh", "ja")
"""Languages with spaces that say nothing."""
OWN = "own"
"""The source of a pair of this project's own."""
UNSEEN = "unseen"
"""The source of this project's own pairs that no rule was made for: a measure at their first run."""
HEAD = ("written", "spoken", "category", "source")

_PUNCTUATION = re.compile(r"[.,;:!?¡¿…\"«»“”„()\[\]{}\-‐‑–—،؛؟。，、；：！？「」『』《》（）।]")
_HARAKAT = re.compile("[\u064b-\u0652\u0670\u0640]")
_ESCAPE = re.compile(r"\\u([0-9a-f]{4})")
_BRACES = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Pair:
    """Something written, and all ways of saying it that a listener would take for right.

    readings: these ways, the one that the source gives first; spoken: as ``compared`` gives them.
    """

    language: str
    written: str
    readings: tuple[str, ...]
    spoken: frozenset[str]
    category: str
    source: str


def pairs(language: str) -> list[Pair]:
    """The pairs of a language (one of ``LANGUAGES``). Raises ValueError, naming file and line."""
    path = FOLDER / f"{language}.tsv"
    lines = path.read_text(encoding="utf-8").splitlines()
    if tuple(lines[0].split("\t")) != HEAD:
        raise ValueError(f"{path.name}:1: the columns are {', '.join(HEAD)}")
    found = []
    for number, line in enumerate(lines[1:], 2):
        columns = line.split("\t")
        if len(columns) != len(HEAD) or not all(columns):
            raise ValueError(f"{path.name}:{number}: not {len(HEAD)} columns with something in each")
        written, spoken, category, source = columns
        readings = tuple(dict.fromkeys(_readings(spoken)))
        if any(brace in reading for reading in readings for brace in "{}|"):
            raise ValueError(f"{path.name}:{number}: a brace is not closed")
        written = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), written)
        judged = frozenset(_judged(language, reading) for reading in readings)
        found.append(Pair(language, written, readings, judged, category, source))
    return found


def compared(text: str) -> str:
    """``text`` as readings are compared: words in small letters, nothing else that is not said.

    Signs and digits stay, since a reading that leaves them to the engine is none. Arabic loses its vowel
    marks, which say how a word is pronounced and not which word it is.
    """
    text = unicodedata.normalize("NFC", text).casefold().replace("’", "'")
    text = unicodedata.normalize("NFC", _HARAKAT.sub("", text))
    return " ".join(_PUNCTUATION.sub(" ", text).split())


def as_expected(pair: Pair, reading: str) -> bool:
    """Return True if ``reading`` is one of the pair's."""
    return _judged(pair.language, reading) in pair.spoken


def _judged(language: str, reading: str) -> str:
    """``compared``, without spaces in a language that has none."""
    plain = compared(reading)
    return plain.replace(" ", "") if language in UNSPACED else plain


def _readings(spoken: str) -> Iterator[str]:
    """Everything that ``spoken`` stands for: "a {b|c} d | e" is "a b d", "a c d" and "e"."""
    waiting = deque(spoken.split(" | "))
    while waiting:
        reading = waiting.popleft()
        inmost = _BRACES.search(reading)
        if inmost is None:
            yield " ".join(reading.split())
            continue
        before, after = reading[: inmost.start()], reading[inmost.end() :]
        waiting.extendleft(f"{before}{choice}{after}" for choice in reversed(inmost[1].split("|")))
