"""Reads an EPUB 2 or 3: its text in reading order, its table of contents, title, author and cover.

A part that is missing or broken is left out, and the log says so: the rest of the book can be read.
"""

import logging
import posixpath
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote
from xml.etree.ElementTree import Element, tostring

from kani.books import xml_tree
from kani.books.archive import ENCRYPTED, Archive
from kani.books.book import Block, Book, Chapter, Image, UnreadableBook, chapter_of, line
from kani.books.cover import MAX_BYTES, read_cover
from kani.books.html.markup import read_html

_CONTAINER, _ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"
_FONT_OBFUSCATION = frozenset({"http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"})
_MAX_DOCUMENTS = 5_000
_MAX_PICTURES, _MAX_PICTURE_BYTES, _MAX_PICTURES_BYTES = 500, 4 << 20, 16 << 20
_ORNAMENT = 64
"""Pixels: a picture with a shorter side is an ornament."""
_TEXT_TYPES = frozenset(
    {"application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document"}
)
_TEXT_ENDINGS = (".xhtml", ".html", ".htm")
_NCX = "application/x-dtbncx+xml"

# Front matter by epub:type and by its title, in the languages of Kokoro's voices and German.
_FRONT_TYPES = frozenset("cover titlepage halftitlepage copyright-page imprint toc dedication".split())
_FRONT_TYPE = re.compile(
    rb"""<(?:body|section|div)\b[^>]{0,500}?\bepub:type\s*=\s*["']([\w\s-]{1,100})["']"""
)
_FRONT_TITLE = re.compile(
    r"(?:half[ -]?)?title(?:[ -]?page)?|cover(?: ?page)?|copyright.{0,40}|(?:table of )?contents|dedication"
    r"|imprint|colophon|(?:also by|praise for) .{1,80}"
    r"|portad(?:a|illa)|página de título|créditos|derechos.{0,20}|índice|(?:tabla de )?contenidos?"
    r"|dedicatoria|couverture|(?:page de )?titre|mentions légales|sommaire|table des matières|dédicace"
    r"|(?:halb)?titel(?:seite|blatt|ei)?|umschlag|impressum|inhalt(?:sverzeichnis)?|widmung"
    r"|copertina|frontespizio|indice|sommario|dedica|capa|folha de rosto|ficha técnica|sumário|dedicatória"
    r"|封面|扉页|版权.{0,4}|目录|献词|表紙|扉|奥付|目次|献辞|शीर्षक पृष्ठ|कॉपीराइट|विषय[ -]?सूची|समर्पण",
    re.IGNORECASE,
)

log = logging.getLogger(__name__)

Contents = dict[tuple[str, str], str]
"""Titles by file and anchor ("": the file's start)."""


@dataclass(frozen=True, slots=True)
class _Item:
    name: str
    type: str
    properties: frozenset[str]

    @property
    def is_text(self) -> bool:
        """True for a document that is read."""
        return self.type in _TEXT_TYPES or self.name.lower().endswith(_TEXT_ENDINGS)


def read_epub(path: Path) -> Book:
    """Read a book. Raises UnreadableBook and OSError."""
    with path.open("rb") as file, Archive(file) as archive:
        return _read(archive, path.stem)


def _read(archive: Archive, fallback: str) -> Book:
    container = archive.join("", _CONTAINER)
    if container not in archive:
        # The folder of a book may have been packed, instead of what is in it.
        container = archive.named(posixpath.basename(_CONTAINER))
    if not container:
        raise UnreadableBook(f"is no EPUB: it lacks {_CONTAINER}")
    top = posixpath.dirname(posixpath.dirname(container))
    _refuse_protection(archive, top)
    rootfile = _xml(archive, container).find(".//rootfile")
    package_name = archive.join(top, rootfile.get("full-path", "") if rootfile is not None else "")
    package = _xml(archive, package_name)
    items = dict(_manifest(archive, package, posixpath.dirname(package_name)))
    title = line(_title(package)) or fallback
    authors = [line(each.text or "") for each in package.iterfind("./metadata/creator")]
    contents = _contents(archive, package, items)
    start = _start(archive, package, items, posixpath.dirname(package_name))
    chapters = list(_chapters(archive, _spine(package, items), contents, start, title))
    cover = _cover(archive, package, items)  # before pictures use up what may be read
    pictures = (name for chapter, _ in chapters for _, (name, _) in chapter.pictures)
    images, left_out = _images(archive, pictures)
    told = (number for number, (_, place) in enumerate(chapters) if place == "start")
    text = (number for number, (_, place) in enumerate(chapters) if place != "front")
    return Book(
        title,
        line(", ".join(filter(None, authors))),
        line(package.findtext("./metadata/language") or ""),
        tuple(chapter for chapter, _ in chapters),
        cover,
        next(told, next(text, 0)),
        {"pictures": left_out} if left_out else {},
        images,
    )


def _refuse_protection(archive: Archive, top: str) -> None:
    name = archive.join(top, _ENCRYPTION)
    if name not in archive:
        return
    methods = {each.get("Algorithm", "") for each in _xml(archive, name).iter("EncryptionMethod")}
    if methods - _FONT_OBFUSCATION:
        raise UnreadableBook(ENCRYPTED)


def _xml(archive: Archive, name: str) -> Element:
    return xml_tree.parse(archive.read(name, xml_tree.MAX_BYTES), name)


def _xml_or_nothing(archive: Archive, name: str) -> Element:
    """Return the root, an empty one for a file that is no XML."""
    try:
        return _xml(archive, name)
    except xml_tree.BrokenXml as error:
        log.warning("The contents of the book are left out: it %s", error)
        return Element("none")


def _title(package: Element) -> str:
    """Return the title: of several the one that EPUB 3 calls the main one, else the first; "" for none."""
    metas = package.iterfind("./metadata/meta[@property='title-type']")
    main = {each.get("refines") for each in metas if each.text == "main"}
    titles = sorted(package.iterfind("./metadata/title"), key=lambda each: f"#{each.get('id')}" not in main)
    return next((each.text or "" for each in titles), "")


def _manifest(archive: Archive, package: Element, folder: str) -> Iterator[tuple[str, _Item]]:
    for each in package.iterfind("./manifest/item"):
        reference = each.get("href", "")
        if "://" in reference:  # on another machine, which is never asked
            continue
        properties = frozenset(each.get("properties", "").split())
        name = archive.join(folder, reference)
        yield each.get("id", ""), _Item(name, each.get("media-type", ""), properties)


def _spine(package: Element, items: dict[str, _Item]) -> list[str]:
    """Return the names of the documents in reading order."""
    found = []
    for each in package.iterfind("./spine/itemref"):
        item = items.get(each.get("idref", ""))
        if item and each.get("linear") != "no" and item.is_text and "nav" not in item.properties:
            found.append(item.name)
    if len(found) > _MAX_DOCUMENTS:
        raise UnreadableBook(f"has more than {_MAX_DOCUMENTS:,} documents: divide it")
    return list(dict.fromkeys(found))


def _contents(archive: Archive, package: Element, items: dict[str, _Item]) -> Contents:
    """Return the table of contents, that of EPUB 3 (nav) or of EPUB 2 (NCX); empty where there is none."""
    folder, navigation = _navigation(archive, items)
    found: list[tuple[str, str]] = []
    for nav in navigation.iter("nav"):
        if nav.get("type", "toc") == "toc":
            found += [(each.get("href", ""), _label(each)) for each in nav.iter("a")]
    spine = package.find("./spine")
    ncx = items.get(spine.get("toc", "")) if spine is not None else None
    ncx = ncx or next((item for item in items.values() if item.type == _NCX), None)
    if not found and ncx is not None and ncx.name in archive:
        folder = posixpath.dirname(ncx.name)
        for point in _xml_or_nothing(archive, ncx.name).iter("navPoint"):
            content = point.find("./content")
            reference = content.get("src", "") if content is not None else ""
            found.append((reference, point.findtext("./navLabel/text") or ""))
    contents: Contents = {}
    for reference, label in found:
        if (place := _place(archive, folder, reference)) and place[0] in archive:
            contents.setdefault(place, line(label))
        else:
            log.warning("An entry of the contents is left out: it leads to %r", reference[:80])
    return contents


def _label(link: Element) -> str:
    """Return the text of an entry, read as a heading is."""
    heading = Element("h1")
    heading.text, heading[:] = link.text, link[:]
    return " ".join(block.text for block in read_html(tostring(heading))[0])


def _navigation(archive: Archive, items: dict[str, _Item]) -> tuple[str, Element]:
    """Return the folder of EPUB 3's navigation, and its root, an empty one where there is none."""
    name = next((item.name for item in items.values() if "nav" in item.properties), None)
    if name is None or name not in archive:
        return "", Element("none")
    return posixpath.dirname(name), _xml_or_nothing(archive, name)


def _place(archive: Archive, folder: str, reference: str) -> tuple[str, str] | None:
    """Return the file, which may be missing, and the anchor of a link in ``folder``; None outside."""
    name, _, anchor = reference.strip().partition("#")
    name = name.partition("?")[0]
    if not name or "://" in name or name.startswith("//"):
        return None
    found = ""
    with suppress(UnreadableBook):
        found = archive.join(folder, name)
    if found not in archive:
        # Programs that convert books leave folders of their own in the links.
        found = archive.named(posixpath.basename(name)) or found
    return (found, unquote(anchor)) if found else None


def _start(archive: Archive, package: Element, items: dict[str, _Item], folder: str) -> Contents:
    """Return the place at which the text begins, if EPUB 3's landmarks or EPUB 2's guide tell it."""
    base, navigation = _navigation(archive, items)
    found = [(base, each) for each in navigation.iter("a") if each.get("type") == "bodymatter"]
    references = package.iterfind("./guide/reference")
    found += [(folder, each) for each in references if each.get("type") in ("text", "start")]
    places = (_place(archive, base, each.get("href", "")) for base, each in found)
    return next(({place: ""} for place in places if place and place[0] in archive), {})


def _chapters(
    archive: Archive, names: list[str], contents: Contents, start: Contents, title: str
) -> Iterator[tuple[Chapter, str]]:
    """Yield the chapters: one from each entry of the contents to the next, else one for each document.

    With each its place: "start" where the text is said to begin, "front" before it, else "".
    """
    current, parts, place = title, list[Block](), "front"
    for name in names:
        if name not in archive:
            log.warning("A part of the book is left out: it lacks its file %r", name[:80])
            continue
        data = archive.read(name)
        blocks, document_title, _ = read_html(data)
        anchors = {anchor for block in blocks for anchor in block.anchors}
        kind = _FRONT_TYPE.search(data[:4096])
        front = kind is not None and not _FRONT_TYPES.isdisjoint(kind[1].decode().split())
        for places in (contents, start):
            _lead_to_the_start(places, name, anchors)
        for number, block in enumerate(blocks):
            starts = _title_at(contents, name, block, first=number == 0)
            if not contents and number == 0:
                heading = next((each.text for each in blocks if each.level), "")
                starts = line(heading or document_title)
            if starts is not None:
                if any(each.text for each in parts):
                    yield chapter_of(current, parts), place
                    parts = []
                current = starts or line(block.text)
                place = "front" if front or _FRONT_TITLE.fullmatch(current) else ""
            if _title_at(start, name, block, first=number == 0) is not None:
                place = "start"
            parts.append(_with_sources(archive, posixpath.dirname(name), block))
    if any(each.text for each in parts):
        yield chapter_of(current, parts), place


def _with_sources(archive: Archive, folder: str, block: Block) -> Block:
    """Return a block with the archive's names of its pictures."""
    places = [(_place(archive, folder, source), told) for source, told in block.pictures]
    return replace(block, pictures=tuple((place[0], told) for place, told in places if place))


def _images(archive: Archive, names: Iterable[str]) -> tuple[dict[str, Image], int]:
    """Return pictures by their files' names, and the number of those left out; ornaments are neither."""
    images: dict[str, Image] = {}
    left_out, left = 0, _MAX_PICTURES_BYTES
    for name in dict.fromkeys(names):
        image = None
        with suppress(UnreadableBook):
            data = archive.read(name, min(left, _MAX_PICTURE_BYTES))
            left -= len(data)
            image = read_cover(data)
        if image is None or len(images) == _MAX_PICTURES:
            left_out += 1
        elif min(image.width, image.height) >= _ORNAMENT:
            images[name] = image
    return images, left_out


def _lead_to_the_start(contents: Contents, name: str, anchors: set[str]) -> None:
    """Have an entry for an anchor that is not there lead to the start of its file."""
    for (file, anchor), label in list(contents.items()):
        if file == name and anchor and anchor not in anchors:
            contents.setdefault((name, ""), label)


def _title_at(contents: Contents, name: str, block: Block, first: bool) -> str | None:
    """Return the title of the last entry that leads to a block; None if none does."""
    titles = [contents.get((name, anchor)) for anchor in (*([""] if first else []), *block.anchors)]
    return next((each for each in reversed(titles) if each is not None), None)


def _cover(archive: Archive, package: Element, items: dict[str, _Item]) -> Image | None:
    """Return the cover; None where there is none of a kind that an audiobook can hold."""
    item = next((item for item in items.values() if "cover-image" in item.properties), None)
    if item is None:
        metas = package.iterfind("./metadata/meta")
        item = items.get(next((each.get("content", "") for each in metas if each.get("name") == "cover"), ""))
    if item is None or item.name not in archive:
        return None
    return read_cover(archive.read(item.name, MAX_BYTES))
