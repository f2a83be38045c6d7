"""Words on which a voice rises in questions, by the marks and words of a language."""

import functools
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kani_text.languages import primary
from kani_text.writing import CLOSERS_AFTER_WORDS, QUESTION_MARKS

_MARK = re.compile(rf"(?<=[\w{re.escape(CLOSERS_AFTER_WORDS)}.])\s?[!…]*[{QUESTION_MARKS}]")
_BEGINS = re.compile(r"[.!?…:;؟][^\w\s]*\s|[¿\n]")
_PARTED = re.compile(r'\s[-–—]\s|[,—()"“”«»]')
_WORD = re.compile(r"[^\W_]+")
_VOCATIVE = 2
"""Words of a last clause that may be a name: "Quand viens-tu, cher ami ?"."""

_NEAR = 4
"""Most words of the last alternative."""


def rise_of(language: str) -> str:
    """The shape of a language's (BCP 47) rise: low, high or peak; "" where none is known."""
    return _words().get(primary(language), {}).get("rise", "")


def rises(text: str, language: str) -> Iterator[int]:
    """Yield the ends of the words of ``text`` on which the voice rises, in order.

    It is the last word of a question that is answered by yes or no, or that repeats what was said, and the
    word before "or" between alternatives; none of a question that begins with a question word. Text that
    does not end yet has none after its last question mark.
    """
    known, begin = _words().get(primary(language), {}), 0
    for mark in _MARK.finditer(text) if known else ():
        for found in _BEGINS.finditer(text, begin, mark.start()):
            begin = found.end()
        clauses, at = [], begin
        for part in (*_PARTED.finditer(text, begin, mark.start()), mark):
            clauses.append(list(_WORD.finditer(text, at, part.start())))
            at = part.end()
        begin = mark.end()
        yield from _rises(known, [clause for clause in clauses if clause])


def _rises(known: Mapping[str, str], clauses: Sequence[Sequence[re.Match[str]]]) -> Iterator[int]:
    """Yield the ends of the words on which a question of these clauses rises; known: the language's words."""
    words = [word for clause in clauses for word in clause]
    spoken = [[word[0].lower() for word in clause] for clause in clauses]
    if len(clauses) > 1 and " ".join(spoken[-1]) in known["tags"].split("|"):
        yield words[-1].end()
        return
    if not words:
        return
    by_word = _asks_by_word(known, spoken)
    # "When did he or she leave?" names no alternatives; "Which do you want, tea or coffee?" does.
    first = len(clauses[0]) if by_word else 1
    near = range(max(len(words) - 1 - _NEAR, first), len(words) - 1)
    between = [at for at in near if _parts(known, words, at)]
    yield from (words[at - 1].end() for at in between)
    if not between and not by_word:
        yield words[-1].end()


def _parts(known: Mapping[str, str], words: Sequence[re.Match[str]], at: int) -> bool:
    """True if the word ``at`` stands between alternatives."""
    here, following = words[at][0].lower(), words[at + 1][0].lower()
    return here in known["or"].split() and following not in known["or_not"].split()


def _asks_by_word(known: Mapping[str, str], clauses: Sequence[Sequence[str]]) -> bool:
    """True for a question that is answered by a word: one that stands where the language asks for it."""
    first, last = (_question_word(known, clause) for clause in (clauses[0], clauses[-1]))
    if first in known.get("joins", "").split() and len(clauses) > 1 and len(clauses[-1]) > _VOCATIVE:
        first = ""
    if first or last:
        return True
    knows = not {*known.get("knows", "").split()}.isdisjoint(clauses[-1])
    *_, before, end = ("", *clauses[-1])
    asked = end in known.get("asks_last", "").split() or before in known.get("asks_before_last", "").split()
    return asked and not knows


def _question_word(known: Mapping[str, str], clause: Sequence[str]) -> str:
    """The question word that a clause begins with, "" for none."""
    opens = known["opens"].split()
    first = next((word for word in clause if word not in opens), "")
    return first if first in known["asks"].split() else ""


@functools.cache
def _words() -> Mapping[str, Mapping[str, str]]:
    return tomllib.loads(Path(__file__).with_name("questions.toml").read_text(encoding="utf-8"))
