"""Finds the lines that open chapters, and joins words that are divided at the ends of lines."""

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from itertools import dropwhile, pairwise
from typing import NamedTuple

from kani_text.language_detection import languages_by_word
from kani_text.writing import roman_value

_LONGEST_TITLE = 80
_LONGEST_LINE = 120
# A line that opens a chapter, whatever its number is, in the languages of Kokoro's voices and German.
_NAMED = r"(?:chapter|cap[ií]tulo|chapitre|capitolo|kapitel|अध्याय)\s+[\w.\-]{1,20}"
_CHAPTER = re.compile(
    rf"(?:{_NAMED}\b.{{0,80}}"
    r"|第\s*[0-9０-９一二三四五六七八九十百千〇零]{1,8}\s*[章回節节话話部巻卷編编篇幕].{0,40}"
    r"|(?:[卷巻]|その)[一二三四五六七八九十]{1,4}(?:\s.{0,40})?|제?\s*\d{1,3}\s*[장부화].{0,40}"
    r"|(?:prologue|epilogue|pr[oó]logo|ep[ií]logo|prolog|epilog|proloog|epiloog|пролог|эпилог|プロローグ|エピローグ"
    r"|序章|終章|终章|楔子|尾声|foreword|preface|introduction|afterword|vorwort|nachwort|einleitung|avant-propos"
    r"|préface|prefacio|prefácio|prefazione|introducci[oó]n|introdução|introduzione|предисловие|voorwoord"
    r"|przedmowa|wstęp)\W{0,3})",
    re.IGNORECASE,
)
_NUMBERED_CHAPTER = re.compile(_NAMED, re.IGNORECASE)
_CHAPTERS = frozenset(
    """chapter chap ch capítulo capitulo chapitre capitolo kapitel अध्याय глава розділ hoofdstuk rozdział
    kapitola kapittel luku fejezet capitolul capítol κεφάλαιο κεφαλαιο bölüm chương bab kapitlet poglavlje
    פרק الفصل فصل บทที่""".split()
)
# Divisions above chapters and below them: openings only where their numbers count up from one.
_PARTS = frozenset(
    """letter part book stave canto act scene section lesson night carta parte libro acto escena lettre partie
    livre acte brief teil buch akt lettera atto livro भाग पत्र volume vol volumen tome tomo band episode story
    tale day día jour tag abschnitt часть книга deel boek część księga del bok osa rész kötet kısım cilt μέρος
    μερος § no nº n° n.º nr №""".casefold().split()
)
NAMES = _CHAPTERS | _PARTS
_ARTICLES = frozenset("the der die das le la el il lo o a het de".split())
_DIGITS = re.compile(r"(\d{1,3})(?:[ºª°]|st|nd|rd|th|er|ère|re|e|ème)?", re.IGNORECASE)
_ROMAN = re.compile(r"[IVXLC]{1,8}")
_TIGHT = re.compile(r"^((?:[IVXLC]{1,8}|\d{1,3})[.:–—-])(?=[^\W\d_]|[\"“‘«])")
_MARKS, _QUOTES = ".:)–—-", '"“‘«'
_ORNAMENTED = re.compile(r"([*=~•#_–—<>|()\[\]-]+)\s*(\S.*?)\s*[*=~•#_–—<>|()\[\]-]+")
_FRAMED = re.compile(r"([*=~•#-]{2,})\s*(\w.{0,60}?)\s*\1")
_RULE = re.compile(r"([=\-~*_#^+])\1{2,}")
_ATX = re.compile(r" {0,3}(#{1,6})[ \t]+(.+)")
_POINT = re.compile(r"[.,;!?…\"'“”«»()]")
_COLUMNS = re.compile(r"\S\s{3,}\S|\|")
_DIVIDES = re.compile(r"[-\u00ad][ \t]*[\n\0]")
_LETTERS = r"[^\W\d_]{1,40}"
_DIVIDED = re.compile(
    rf"((?<![^\W\d_]){_LETTERS}(?:-{_LETTERS}){{0,3}})([-\u00ad])(?:[ \t]*[\n\0]){{1,2}}[ \t]*({_LETTERS})"
)
_MOST_KNOWN = 4_000_000
"""Characters of a text that tell which words there are."""

_BREAK = re.compile(r"<br[ ]?/?>\n?")
_WORD, _HYPHENED = re.compile(r"[^\W\d_]+"), re.compile(r"[^\W\d_]+-[^\W\d_]+")
SENTENCE_END = re.compile(r"[.!?…:*。！？][\"'”’»)\]_」』）]*$")
# Languages in which numbers are known as words.
_LANGUAGES = "en es fr de it pt nl pl ru uk sv da no fi cs hu tr ro".split()
# The endings of such words change with gender and case.
_INFLECTED = re.compile(r"(.{3,}?)(?:e[rsnm]|[aeiouyаеиоуыюя])*")


class _Opening(NamedTuple):
    """The number of a line that opens something, with a word for that, or "number", "roman" or "words"."""

    kind: str
    value: int
    is_after: bool = False
    """True where the word is after its number: "1. Kapitel"."""


def atx(line: str) -> tuple[str, int] | None:
    """Return the title and the level of a line such as "## Title ##"."""
    found = _ATX.fullmatch(line)
    if found is None:
        return None
    title = found[2].rstrip()
    before, brace, attributes = title.rpartition("{")
    if brace and attributes[:1] in ("#", ".", "-") and attributes.endswith("}"):
        title = before.rstrip()
    bare = title.rstrip("#")
    # Marks that touch the last word are its own: "C#".
    return (title if bare[-1:].strip() else bare.rstrip()), len(found[1])


def marked(paragraph: str) -> list[tuple[str, int]]:
    """Divide a paragraph into the headings at its start that marks or lines of marks tell, and its rest.

    Each with its level, 0 for what is none by its marks.
    """
    found: list[tuple[str, int]] = []
    lines, at = paragraph.split("\n"), 0
    while heading := _marked_heading(lines[at : at + 3]):
        found.append(heading[:2])
        at += heading[2]
    lines = lines[at:]
    goes_on = len(lines) < 2 or lines[1].lstrip()[:1].islower() or is_heading("\n".join(lines))
    if not goes_on and _opens_untitled(lines[0].strip()):
        found.append((lines.pop(0), 0))
    return [*found, ("\n".join(lines), 0)] if lines else found


def _marked_heading(lines: list[str]) -> tuple[str, int, int] | None:
    """Return a heading at the start of the next lines, its level and its lines."""
    if lines and (heading := atx(lines[0])):
        return None if len(lines) > 1 and lines[1].lstrip()[:1].islower() else (*heading, 1)
    above = len(lines) > 2 and bool(_RULE.fullmatch(lines[0].strip()))
    under = _RULE.fullmatch(lines[1 + above].strip()) if len(lines) > 1 + above else None
    if under and may_be_underlined(title := lines[above].strip()):
        return title, 1 if under[1] == "=" else 2, 2 + above
    return None


def may_be_underlined(title: str) -> bool:
    """True for a line that a line of marks below makes a heading."""
    fits = bool(re.search(r"\w", title)) and len(title) <= _LONGEST_TITLE and not _COLUMNS.search(title)
    return fits and (title[-1] not in ".,;:-" or is_heading(title))


def headings(paragraphs: list[str]) -> dict[int, int]:
    """Return the numbers of the paragraphs that open chapters, each with 1, or 2 for a section of one."""
    found = {at: 1 for at, each in enumerate(paragraphs) if is_heading(each.strip())}
    short = ((at, each.strip()) for at, each in enumerate(paragraphs) if len(each) <= _LONGEST_LINE)
    framed = {at: match[1] for at, each in short if (match := _FRAMED.fullmatch(each))}
    frames = Counter(framed.values())
    found |= {at: 1 for at, frame in framed.items() if frames[frame] > 1}
    numbered = sum(_is_numbered(paragraphs[at]) for at in found) > 1
    for kind, at in _counted(paragraphs, set(found)):
        found.setdefault(at, 2 if numbered and kind.endswith("titled") else 1)
    return found


def opens(line: str) -> bool:
    """True for a line that opens a chapter if the numbers of others agree."""
    return is_heading(line) or bool(_ATX.fullmatch(line) or _opening(line))


def is_heading(paragraph: str) -> bool:
    """True for a chapter's opening line, which may have the chapter's title in the next one."""
    first, newline, rest = plain(paragraph).partition("\n")
    if not newline:
        return bool(_CHAPTER.fullmatch(first)) or _is_numbered(first)
    titled = rest[:1].isupper() and "\n" not in rest and len(rest) <= _LONGEST_TITLE and rest[-1] not in ".,;"
    return titled and _opens_untitled(first.strip())


def plain(paragraph: str) -> str:
    """Return a line without the marks around it: "*** Chapter 1 ***"."""
    framed = _ORNAMENTED.fullmatch(paragraph) if len(paragraph) <= _LONGEST_LINE else None
    return framed[2] if framed else paragraph


def _opens_untitled(line: str) -> bool:
    return bool(_NUMBERED_CHAPTER.fullmatch(line)) or (len(line.split()) < 4 and _is_numbered(line))


def _is_numbered(line: str) -> bool:
    """True for "Chapter 1", "1. Kapitel: Der Weg", "Erstes Kapitel" and the like."""
    words = line.casefold().split()
    named = len(words) == 2 and not _CHAPTERS.isdisjoint(words)
    if named and not line[0].islower() and not _POINT.search(line):
        return True
    opening = _opening(line)
    return opening is not None and opening.kind in _CHAPTERS


def _opening(line: str) -> _Opening | None:
    if len(line) > _LONGEST_LINE:
        return None
    tokens = _TIGHT.sub(r"\1 ", " ".join(plain(line).split())).split()
    for count in range(min(len(tokens), 5), 0, -1):
        last = tokens[count - 1].rstrip(_MARKS)
        mark, title = tokens[count - 1][len(last) :], tokens[count:]
        if title and not title[0].strip(_MARKS):
            mark, title = mark + title[0], title[1:]
        if last and (opening := _count([*tokens[: count - 1], last])):
            if not title:
                return opening
            if _may_follow(opening, mark, " ".join(title)):
                bare = opening.kind in ("number", "words")
                return opening._replace(kind=f"{opening.kind} titled") if bare else opening
    return None


def _count(words: list[str]) -> _Opening | None:
    """Return what "Chapter 1", "Erster Teil", "IV" or "Three" count."""
    names = [each.rstrip(".").casefold() for each in words]
    kind = next((each for each in (names[0], names[-1]) if each in NAMES), "")
    is_after = bool(kind) and names[0] != kind
    if kind:
        words = words[1:] if names[0] == kind else words[:-1]
        words = words[1:] if words and words[0].casefold() in _ARTICLES else words
    if not 0 < len(words) < 4:
        return None
    word = words[0].rstrip(".")
    if len(words) == 1 and (digits := _DIGITS.fullmatch(word)):
        return _Opening(kind or "number", int(digits[1]), is_after) if int(digits[1]) else None
    if len(words) == 1 and _ROMAN.fullmatch(word):
        value = roman_value(word)
        return _Opening(kind or "roman", value, is_after) if value else None
    value = _number_words().get(_stem("".join(words)), 0)
    return _Opening(kind or "words", value, is_after) if value and (kind or not word[:1].islower()) else None


def _may_follow(opening: _Opening, mark: str, title: str) -> bool:
    """True for what may be the title after a chapter's number."""
    kind = opening.kind
    if len(title) > 60:
        return False
    if kind in _CHAPTERS:
        return bool(mark) or (title[-1] not in ".,;:!?…" and not opening.is_after)
    if kind in _PARTS:
        return title[-1] not in ".,;!?" and (bool(mark) or not opening.is_after)
    begins = title[0] in _QUOTES or (title[0].isalpha() and not title[0].islower())
    return begins and title[-1] not in ".,;:" and (bool(mark) or kind == "number")


def _counted(paragraphs: list[str], known: set[int]) -> Iterator[tuple[str, int]]:
    """Yield the kinds and numbers of the paragraphs that open a chapter as they count up from one."""
    kinds: dict[str, list[tuple[int, int]]] = {}
    for at, each in enumerate(paragraphs):
        if opening := _opening(each):
            kinds.setdefault(opening.kind, []).append((at, opening.value))
    # Those with a word first: a number may follow one of them.
    for kind, found_at in sorted(kinds.items(), key=lambda item: item[0] not in _PARTS):
        # A heading that another one follows at once is of a table of contents.
        places = {at for at, _ in found_at}
        opening_at = list(
            dropwhile(lambda each: each[1] > 1, (each for each in found_at if each[0] + 1 not in places))
        )
        values = [value for _, value in opening_at]
        rises = all(after in (1, value + 1) for value, after in pairwise(values))
        ended = [
            not at or at - 1 in known or bool(SENTENCE_END.search(paragraphs[at - 1].strip()))
            for at, _ in opening_at
        ]
        # A number by itself may be that of a page, in the middle of a sentence.
        if len(values) > 1 and rises and (kind in _PARTS or kind == "roman" or all(ended[1:])):
            known.update(at for at, _ in opening_at)
            yield from ((kind, at) for at, _ in opening_at)


class Undivided:
    """Puts words together that are divided at the ends of lines. text: it tells which words there are."""

    def __init__(self, text: str) -> None:
        self._text = text[:_MOST_KNOWN]

    def __call__(self, lines: str) -> str:
        """Return the lines; a divided word is in the first of its two, without the hyphen that divides it."""
        return _DIVIDED.sub(self._whole, lines) if _DIVIDES.search(lines) else lines

    def _whole(self, found: re.Match[str]) -> str:
        before, hyphen, after = found.groups()
        first, second = before.casefold().rpartition("-")[2], after.casefold()
        evidence = self._evidence(first, second)
        # A hyphen of the word itself: of names, between words that there are, in a text that divides none.
        beside = found.string[found.end() : found.end() + 1]
        if "-" in before + beside or after[0].isupper() > before.isupper():
            own = True
        elif evidence:
            own = evidence > 0
        else:
            own = self._knows(first) and (self._knows(second) or min(len(first) + 1, len(second)) > 4)
            own |= self._divides_no_words
        return f"{before}-{after}" if own and hyphen == "-" else f"{before}{after}"

    def _evidence(self, first: str, second: str) -> int:
        """Return how much more often two parts are written with a hyphen than as one word."""
        whole = max(self._words[first + second], first + second in languages_by_word())
        return self._words[f"{first}-{second}"] - whole

    def _knows(self, word: str) -> bool:
        return word in self._words or word in languages_by_word() or _stem(word) in _number_words()

    @functools.cached_property
    def _divides_no_words(self) -> bool:
        found = _DIVIDED.finditer(self._text.casefold())
        parts = ((each[1].rpartition("-")[2], each[3]) for each in found if each[2] == "-")
        evidence = [self._evidence(*each) for each in parts]
        return sum(each > 0 for each in evidence) > sum(each < 0 for each in evidence)

    @functools.cached_property
    def _words(self) -> Counter[str]:
        text = _DIVIDED.sub(" ", _BREAK.sub("\n", self._text)).casefold()
        return Counter(_WORD.findall(text)) + Counter(_HYPHENED.findall(text))


def _stem(written: str) -> str:
    """Return the letters of words without accents and the ending that gender and case change."""
    letters = "".join(each for each in unicodedata.normalize("NFKD", written.casefold()) if each.isalpha())
    found = _INFLECTED.fullmatch(letters[:60])
    return found[1] if found else letters


@functools.cache
def _number_words() -> dict[str, int]:
    """Return the numbers from 1 to 60 by their words' stems, cardinal and ordinal."""
    from num2words import num2words  # takes a while, and is needed for plain text only

    found: dict[str, int] = {}
    units = " 一二三四五六七八九"
    for number in range(1, 61):
        ten = "十" if number > 9 else ""
        found[f"{units[number // 10] if number > 19 else ''}{ten}{units[number % 10]}".strip()] = number
        for language in _LANGUAGES:
            for to in ("cardinal", "ordinal"):
                try:
                    found.setdefault(_stem(num2words(number, lang=language, to=to)), number)
                except NotImplementedError:
                    continue
    return found
