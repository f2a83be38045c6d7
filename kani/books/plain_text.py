"""Decodes text, and finds chapters and paragraphs in it, without what printed pages and Gutenberg added."""

import re
from bisect import bisect
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from kani.books.book import Block, UnreadableBook
from kani.books.lines import NAMES, SENTENCE_END, Undivided, headings, marked, opens, plain
from kani_text.writing import roman_value

_PARAGRAPHS = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_START = re.compile(r"^\*{3} ?START OF TH(?:E|IS) PROJECT GUTENBERG.*$", re.MULTILINE)
_END = re.compile(r"^\*{3} ?END OF TH(?:E|IS) PROJECT GUTENBERG", re.MULTILINE)
_FACT = r"^{}:[ \t]*(.+(?:\n[ \t]+\S.*)*)"
# Pictures, and where pages of print begin.
_PICTURE = re.compile(r"\[Illustration(?::[^\[\]]{0,2000})?\]|\[(?:Pg|Page|S\.|p\.) ?\d{1,4}\] ?")
# Numbers of pages as some of Gutenberg's texts have them.
_BRACED = re.compile(r"(?<=\S )\{[1-9]\d{0,3}\} ?|(?<=\n)\{[1-9]\d{0,3}\} (?=\S)")
_EMPHASIS = re.compile(r"(?<!\w)_(?=\S)([^_]{1,500})(?<=\S)_(?!\w)")
_DIVIDED = re.compile(r"[^\W\d_][-\u00ad]$")
_HYPHEN = re.compile(r"(\w-|--|—)\n(?=\w)")
_ORNAMENT = re.compile(r"(?:[*•·~=_#–—-]\s*)+")

# The number of a printed page, with or without a word for it: "12", "- 12 -", "Page 13", "Seite 4 von 10".
_PAGE = re.compile(
    r"[\W_]{0,6}第?(?P<word>(?:page|pg|p|seite|s|página|pág|pagina|pag|blz|bladzijde|strona|str|стр|страница|sida|sid"
    r"|side|sivu|oldal|strana|sayfa|trang|halaman|hal|σελίδα|पृष्ठ|صفحة|頁|页|ページ|쪽)[.:|\s]*)?(?P<number>\d{1,4}|(?-i:[ivxlc]{1,8}))"
    r"(?:\s*(?:/|of|de|von|sur|di|van|av|af|z|из)\s*\d{1,4})?(?P<after>[\s.]*(?:頁|页|ページ|쪽|oldal|sayfa|sivu))?"
    r"(?:\s*共\s*\d{1,4}\s*页)?[\W_]{0,6}",
    re.IGNORECASE,
)
_NUMBER_BESIDE = re.compile(r"^\d{1,4}\b[\s|·–—-]+(?=\D)|(?<=\D)[\s|·–—-]+\d{1,4}$")
_LONGEST_HEAD, _LONGEST_NUMBER = 60, 40
_SPACE = ("", " ")  # between letters of Chinese and Japanese, and of others
_SHORT_LINE = 30
"""Characters of a line that may be a title though no mark ends it."""

_WIDTHS = range(45, 101)
"""Characters of a line at which texts are wrapped by hand."""

_RAGGED = 6
"""Most characters that a wrapped line may have been longer, with the word that follows."""

_FULL = 0.7
"""Share of the lines of a paragraph that are full, so that it flows."""

_GLUED_MARK = re.compile(r"(?<=[^\W\d_]|[.,;:!?”»])\[\d{1,3}\]")
# Bytes that are no UTF-8, as browsers read HTML that declares no encoding.
_AS_WINDOWS = {0xDC00 + byte: bytes((byte,)).decode("windows-1252", "replace") for byte in range(128, 256)}
_ENCODINGS = frozenset(
    "utf-8 iso-8859-1 iso-8859-2 iso-8859-5 iso-8859-15 latin-1 windows-1250 windows-1251 "
    "windows-1252 windows-1253 windows-1254 windows-1257 koi8-r shift_jis "
    "euc-jp euc-kr gb2312 gbk gb18030 big5".split()
)
# The encoding that a file declares: XML in its first line, HTML in a "meta", a text of Project Gutenberg's.
_DECLARED = re.compile(
    rb"""\A\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w\-]{1,40})|<meta[^>]{0,200}?charset\s*=\s*(?:["']\s*)?([\w\-]{1,40})"""
    rb"""|^Character set encoding:\s*([\w\-]{1,40})""",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class _Line:
    """A line with text: its page by the form feeds so far, and the empty lines before it."""

    text: str
    page: int
    gap: int
    number: int = 0
    """Of a printed page, if it may be one."""
    kind: str = ""
    """Of the number: "word" with one for pages, "roman", or "" where it is all."""


def read_plain(text: str) -> tuple[list[Block], str, str]:
    """Return the blocks of a text, its title and its author, each "" where it does not tell it.

    What Project Gutenberg has added is left out.
    """
    head = ""
    if start := _START.search(text):
        head = text[: start.start()]
        end = _END.search(text, start.end())
        text = _BRACED.sub("", _EMPHASIS.sub(r"\1", text[start.end() : end.start() if end else None]))
    title, author = (_fact(head, name) for name in ("Title", "Author"))
    text = _without_pages(_PICTURE.sub("", text))
    parts = (each.strip("\n").rstrip() for each in _PARAGRAPHS.split(text))
    divided = [part for each in parts if each.strip() for part in marked(each)]
    divided = [(each, level) for each, level in divided if level or not _ORNAMENT.fullmatch(each.strip())]
    paragraphs = [each for each, _ in divided]
    width = _width(paragraphs)
    undivided = Undivided(text)
    # Headings that marks tell are above those that only look like some.
    above = max((level for _, level in divided), default=0)
    openings = headings(paragraphs)
    blocks = []
    for number, (each, level) in enumerate(divided):
        if not level and number in openings:
            level = min(above + openings[number], 6)
        shown = " ".join(plain(each.strip()).split()) if level else _flowing(each, width, undivided)
        blocks.append(Block(shown if level else without_note_marks(shown), level))
    return blocks, title, author


def _fact(head: str, name: str) -> str:
    found = re.search(_FACT.format(name), head, re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def _width(paragraphs: list[str]) -> int:
    """Return the width at which a text was wrapped by hand, 0 where it was not."""
    lengths = sorted(len(line.rstrip()) for each in paragraphs for line in each.split("\n")[:-1])
    width = lengths[len(lengths) * 9 // 10] if lengths else 0
    return width if width in _WIDTHS else 0


def _flowing(paragraph: str, width: int, undivided: Undivided) -> str:
    """Return a paragraph in one line, if its lines were full or go on in small letters: no verse nor list."""
    lines = [line.strip() for line in paragraph.split("\n")]
    breaks = list(pairwise(lines))
    full = [len(line) + 1 + len(after.split(" ", 1)[0]) > width - _RAGGED for line, after in breaks]
    sentence = paragraph[:1].isupper() and bool(SENTENCE_END.search(paragraph))
    goes_on = sentence and all(after[:1].islower() or _DIVIDED.search(line) for line, after in breaks)
    written = "\n".join(lines)
    if not (goes_on or (width and sum(full) >= _FULL * len(full))):
        return written
    # Any other hyphen or dash at the end of a line has no space after it.
    return _HYPHEN.sub(r"\1", undivided(written)).replace("\n", " ")


def _without_pages(text: str) -> str:
    """Leave out form feeds, and numbers and running heads of pages; what they divide goes on."""
    lines = list(_lines(text))
    gone = _page_numbers(lines)
    breaks = {at for at in range(1, len(lines)) if lines[at].page > lines[at - 1].page}
    if not gone and not breaks:
        return text.replace("\f", "\n")
    gone |= _running_heads(lines, gone, breaks)
    written, gap, broken, last = [], 0, False, ""
    for at, line in enumerate(lines):
        gap, broken = gap + line.gap, broken or at in breaks or at in gone
        if at in gone:
            continue
        between = "\n" * (gap + 1)
        if broken:
            end = last.strip()
            joined = "\n" if end.endswith(("-", "\u00ad")) else _SPACE[end[-1:] < "\u2e80"]
            between = joined if _goes_on(end, line.text.strip()) else "\n\n"
        written += [between, line.text.lstrip() if between in _SPACE else line.text]
        gap, broken, last = 0, False, line.text
    return "".join(written)


def _lines(text: str) -> Iterator[_Line]:
    page = gap = 0
    for each in text.replace("\f", "\n\f\n").split("\n"):
        if each == "\f":
            page += 1
        elif not (shown := each.strip()):
            gap += 1
        else:
            found = _PAGE.fullmatch(shown) if len(shown) <= _LONGEST_NUMBER else None
            if found is None:
                yield _Line(each, page, gap)
            elif found["number"].isdecimal():
                worded = found["word"] or found["after"]
                yield _Line(each, page, gap, int(found["number"]), "word" if worded else "")
            else:
                yield _Line(each, page, gap, roman_value(found["number"].upper()) or 0, "roman")
            gap = 0


def _page_numbers(lines: list[_Line]) -> set[int]:
    """Return where the numbers of pages are: beside form feeds, or where they go on by one."""
    numbers = [at for at, line in enumerate(lines) if line.number]
    gone = _numbers_beside_breaks(lines, numbers)
    runs: list[list[int]] = []
    waiting: dict[int, list[int]] = {}
    for at in numbers:
        if at in gone or lines[at].kind == "roman":
            continue
        run = waiting.pop(lines[at].number, [])
        if not run or run[-1] + 1 == at:
            run = []
            runs.append(run)
        run.append(at)
        waiting[lines[at].number + 1] = run
    return gone.union(*(run for run in runs if len(run) > 1 and not _count_sections(lines, run)))


def _numbers_beside_breaks(lines: list[_Line], numbers: list[int]) -> set[int]:
    """Return which of the lines with a number are page numbers beside form feeds, or at the text's ends."""
    first = {at for at in numbers if at and lines[at - 1].page < lines[at].page}
    last = {at for at in numbers if at + 1 < len(lines) and lines[at + 1].page > lines[at].page}
    offsets = Counter(lines[at].number - lines[at].page for at in first | last)
    fits = {at: offsets[lines[at].number - lines[at].page] for at in numbers}
    # Chapters begin on new pages, too; their numbers do not go on with each page.
    opening = [lines[at] for at in sorted((first | ({0} & set(numbers))) - last) if not lines[at].kind]
    values = [line.number for line in opening]
    counted = len(values) > 1 and values == list(range(1, len(values) + 1))
    if counted and len({line.number - line.page for line in opening}) > 1:
        first = {at for at in first if lines[at].kind}
    # Of many, a number that does not go on with the pages is of the text, as all are at the text's ends.
    gone = {at for at in first | last if len(first | last) < 3 or lines[at].kind or fits[at] > 1}
    return gone | {at for at in {0, len(lines) - 1} & set(numbers) if fits[at]}


def _count_sections(lines: list[_Line], run: list[int]) -> bool:
    """True for numbers from one on that no sentence goes on over, or that count the lines of a list."""
    if lines[run[0]].number != 1 or any(lines[at].kind for at in run):
        return False
    listed = all(not lines[after].gap and after - at == 2 for at, after in pairwise(run))
    around = (
        (lines[at - 1].text.strip(), lines[at + 1].text.strip()) for at in run if 0 < at < len(lines) - 1
    )
    return listed or not any(_goes_on(before, after) for before, after in around)


def _running_heads(lines: list[_Line], gone: set[int], breaks: set[int]) -> set[int]:
    """Return the lines beside the breaks of pages that are there again and again, but for their numbers."""
    kept = [at for at in range(len(lines)) if at not in gone]
    beside = set(kept[:1])
    for at, after in pairwise(kept):
        if after - at > 1 or after in breaks:
            beside |= {at, after}
    keys = {}
    for at in beside:
        text = lines[at].text.strip()
        key = _NUMBER_BESIDE.sub("", text)
        if len(text) <= _LONGEST_HEAD and re.search(r"[^\W\d_]", key) and not SENTENCE_END.search(text):
            keys[at] = text if key.casefold() in NAMES else key
    often = Counter(keys.values())
    least = 2 if len(breaks) < 5 else 3
    heads = {at for at, key in keys.items() if often[key] >= least}
    # The first is the title of the book or of a chapter, unless a sentence goes on over it.
    others = [at for at in kept if at not in heads]
    for key, at in {key: at for at, key in sorted(keys.items(), reverse=True)}.items():
        place = bisect(others, at)
        around = [lines[each].text.strip() for each in others[max(place - 1, 0) : place + 1]]
        title = place in (0, len(others)) or opens(key) or not _goes_on(*around)
        if key == lines[at].text.strip() and title:
            heads.discard(at)
    return heads


def _goes_on(before: str, after: str) -> bool:
    """True for a sentence that goes on after the break of a page."""
    if not before or SENTENCE_END.search(before) or opens(before) or opens(after):
        return False
    return after[0].islower() or len(before) > _SHORT_LINE or before[-1] in ",;-–—、"


def without_note_marks(text: str) -> str:
    """Leave out "[3]" where it touches a word, as the mark of a note does."""
    return _GLUED_MARK.sub("", text)


def decode(data: bytes, errors: str = "strict") -> str:
    """Return the text of bytes in UTF-8, UTF-16 with its mark, or else the encoding that they declare.

    errors: of UTF-8; "surrogateescape" reads its faulty bytes as Windows-1252. Raises UnreadableBook.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    elif b"\0" in data:
        raise UnreadableBook("is not text in utf-8: save it as UTF-8")
    else:
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            declared = _DECLARED.search(data[:4096])
            encoding = next(filter(None, declared.groups())).decode().lower() if declared else "utf-8"
            if encoding not in _ENCODINGS:
                encoding = "utf-8"
    try:
        return data.decode(encoding, errors if encoding == "utf-8" else "strict").translate(_AS_WINDOWS)
    except UnicodeDecodeError as error:
        raise UnreadableBook(f"is not text in {encoding}: save it as UTF-8") from error
