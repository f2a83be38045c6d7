"""Reads a book from a file: EPUB, PDF, DOCX, HTML, Markdown or plain text, by the ending of its name."""

import re
from pathlib import Path

from kani.books.book import ENDINGS, Block, Book, UnreadableBook, checked, line, with_headings
from kani.books.epub import read_epub
from kani.books.html.markup import read_html
from kani.books.lines import atx, may_be_underlined
from kani.books.office.word import read_docx
from kani.books.plain_text import decode, read_plain
from kani_text.markup import MASK, PARAGRAPH_END, without_markup

MAX_TEXT_BYTES = 64 << 20


def _read_pdf(path: Path) -> Book:
    # pypdf is loaded only where a PDF is read, not in each server.
    from kani.books.office.pdf import read_pdf

    return read_pdf(path)


_READERS = {".epub": read_epub, ".pdf": _read_pdf, ".docx": read_docx}

# Facts of a book before its text, as lines, or as YAML, TOML or JSON, read as far as these facts need it.
_FRONT = re.compile(
    r"\s*(?:(?:(---|\+\+\+)|(?P<json>\{(?=\s*\")))[ \t]*\n"
    r"(?s:(?P<between>.*?))^(?(json)\}|(?:\1|\.\.\.))[ \t]*$\n?"
    r"|(?P<lines>Title:[ \t]*\S.*\n(?:(?:Subtitle|Authors?|Creator|Lang(?:uage)?|Locale|Date|Copyright"
    r"|Publisher|Editor|Translator|Illustrator|Series|Year|Keywords|Base Header Level):.*\n)*)(?=\s*\n))",
    re.MULTILINE,
)
_PANDOC = re.compile(r"\s*%[ \t]+(?P<title>\S.*)\n(?:%[ \t]*(?P<author>.*)\n(?:%.*\n)?)?")
_FACT = re.compile(r'(?:[ \t]*")?([A-Za-z_][\w-]*|[A-Z][\w-]*(?: [\w-]+)*)"?(?::|[ \t]*=)(?:[ \t]+(.*))?')
_MORE = re.compile(r"(?=[ \t-])[ \t]*(?:-[ \t]+)?(?:([\w-]+):(?:[ \t]+|$))?(.*)")
_VALUE = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^']|'')*)'|([^,\s][^,]*))""")
_FACTS = {
    "title": ("title",),
    "author": ("author", "authors", "creator"),
    "language": ("lang", "language", "locale"),
}
_UNDERLINE = re.compile(r" {0,3}(={2,}|-{2,})[ \t]*")
_FENCE = re.compile(r"[ ]{0,3}(```|~~~)")
# A line that begins with a mark is an item; a line that ends with two spaces ends there.
_ITEM = re.compile(r"^[ \t]*[-*+](?=[ \t])", re.MULTILINE)
_ITEM_OR_QUOTE = re.compile(r"[ \t]*(?:[-*+>]|\d{1,3}[.)])(?=\s)| {4}")
_GOES_ON = re.compile(r"(?<! {2})\n(?![^\S\n]*(?:•|\d{1,3}[.)]\s))")
# Pandoc's attributes and divisions, and where programs put a table of contents.
_ATTRIBUTES = re.compile(r"(?<=[\])])\{(?:[#.:]|[\w-]+=)[^{}\n]{0,200}\}")
_NO_TEXT = re.compile(r"\s*(?::{3,}.{0,200}|\[{1,2}_?TOC_?\]{1,2}|\{[:.#][\w. #-]{1,40}\})\s*", re.IGNORECASE)
# Pandoc's raised and lowered signs: "E = mc^2^", "the 2^nd^", "H~2~O".
_POWER = re.compile(r"\^([+−-]?\d{1,4}|(?<=[A-Za-z]\^)[a-z])\^")
_SHIFTED = re.compile(r"(?<=\w)([\^~])([^\W_]{1,4})\1")
_MARKED = re.compile(r"[^\w\s.,;:!?'\"()–—“”‘’«»¿¡…]")


def read_book(path: Path) -> Book:
    """Read a book. Raises UnreadableBook, with a text that begins with the file's name, and OSError."""
    try:
        return checked(_read(path))
    except UnreadableBook as error:
        raise UnreadableBook(f"{path.name} {error}") from error


def _read(path: Path) -> Book:
    ending = path.suffix.lower()
    if reader := _READERS.get(ending):
        return reader(path)
    if ending not in ENDINGS:
        raise UnreadableBook(f"is no book: its name has to end with one of {', '.join(ENDINGS)}")
    with path.open("rb") as file:
        data = file.read(MAX_TEXT_BYTES + 1)
    if len(data) > MAX_TEXT_BYTES:
        raise UnreadableBook(f"has more than {MAX_TEXT_BYTES >> 20} MiB: divide it")
    if ending in (".html", ".htm", ".xhtml"):
        blocks, title, language = read_html(data)
        facts, blocks = {"title": title, "language": language}, with_headings(blocks)
    else:
        text = decode(data).replace("\r\n", "\n").replace("\r", "\n")
        pandoc = _PANDOC.match(text) if ending == ".md" else None
        text, facts = (text[pandoc.end() :], pandoc.groupdict("")) if pandoc else _without_front(text)
        if ending == ".md":
            blocks = _markdown(text)
            top = [block.text for block in blocks if block.level == 1]
            first = next((block for block in blocks if block.level), None)
            facts = {"title": first.text if first and top == [first.text] else "", **facts}
            blocks = with_headings(blocks)
        else:
            blocks, title, author = read_plain(text)
            facts = {"title": title, "author": author, **facts}
    title, author, language = (line(facts.get(name, "")) for name in ("title", "author", "language"))
    return Book(title or path.stem, author, language, ()).divided(blocks)


def _without_front(text: str) -> tuple[str, dict[str, str]]:
    """Return a text without the facts before it, and those of them that tell of a book."""
    front = _FRONT.match(text)
    values = _facts((front["between"] or front["lines"] or "").split("\n")) if front else {}
    known = {name: key for key in values for name, keys in _FACTS.items() if key.casefold() in keys}
    # "Anna: Hello." between two lines is of a play.
    if front is None or not (known or all(key[0].islower() for key in values)) or not values:
        return text, {}
    facts = {name: (", " if name == "author" else " ").join(values[key]) for name, key in known.items()}
    return text[front.end() :], facts


def _facts(lines: list[str]) -> dict[str, list[str]]:
    """Return the values of each key; none where a line is no fact."""
    values: dict[str, list[str]] = {}
    key = ""
    for each in lines:
        # Comments, the names of TOML's tables, and JSON's brackets.
        if not each.strip() or each.lstrip()[0] in "#[]{}":
            continue
        if fact := _FACT.fullmatch(each):
            key = fact[1]
            values[key] = _values(fact[2] or "")
        elif key and (more := _MORE.fullmatch(each)):
            values[key] += _values(more[2]) if more[1] in (None, "name", "text") else []
        else:
            return {}
    return values


def _values(written: str) -> list[str]:
    """Return the values of a line: one, or those of a list in brackets; none of the mark of a longer text."""
    written = re.sub(r"(?:^|\s)#.*", "", written).strip() if written[:1] not in ("'", '"') else written
    if re.fullmatch(r"[>|][+-]?|~|null", written):
        return []
    if written[:1] not in ("[", "'", '"'):
        return [written] if written else []
    found = _VALUE.findall(written.strip("[], "))[: None if written[0] == "[" else 1]
    return [
        re.sub(r"\\(.)", r"\1", double) or single.replace("''", "'") or bare.strip()
        for double, single, bare in found
    ]


def _markdown(text: str) -> list[Block]:
    """Divide at headings and empty lines; only the marks of code stay, which the speech announces."""
    blocks: list[Block] = []
    lines: list[str] = []
    fence = ""

    def end() -> None:
        if paragraph := "\n".join(lines).strip():
            blocks.append(Block(paragraph if _FENCE.match(paragraph) else _unmarked(paragraph)))
        lines.clear()

    for each in text.split("\n"):
        mark = _FENCE.match(each)
        if mark and fence in ("", mark.group(1)):
            fence = "" if fence else mark.group(1)
        heading = None if fence or mark else _heading(each, lines)
        if heading:
            end()
            blocks.append(Block(_unmarked(heading[0]), heading[1]))
        elif not fence and (not each.strip() or _NO_TEXT.fullmatch(each)):
            end()
        else:
            lines.append(each)
    end()
    return [block for block in blocks if block.text]


def _heading(line: str, before: list[str]) -> tuple[str, int] | None:
    """Return text and level of a heading: of the line, or of the one before it, which the line underlines."""
    rule = _UNDERLINE.fullmatch(line) if len(before) == 1 else None
    if rule and not _ITEM_OR_QUOTE.match(before[0]) and may_be_underlined(before[0].strip()):
        return before.pop().strip(), 1 if rule[1][0] == "=" else 2
    return atx(line)


def _unmarked(paragraph: str) -> str:
    """Return a paragraph of Markdown as it is read, in one line but for items and rows."""
    paragraph = _SHIFTED.sub(r"\2", _POWER.sub(r"^\1", _ATTRIBUTES.sub("", paragraph)))
    shown = list(paragraph)
    if _MARKED.search(paragraph):
        shown = list(without_markup(paragraph))
        last = max((at for at, each in enumerate(shown) if each.isalnum()), default=0)
        for item in _ITEM.finditer(paragraph):
            if len(shown) == len(paragraph) and item.end() <= last:
                shown[item.end() - 1] = "•"
    text = "".join(shown).replace(MASK, "").replace(PARAGRAPH_END, "  \n")
    lines = (" ".join(line.split()) for line in _GOES_ON.sub(" ", text).split("\n"))
    return "\n".join(filter(None, lines)).replace(" ,", ",")
