"""Parses XML from strangers: no declarations, no external files, bounded depth."""

import re
from html.entities import html5
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from kani.books.book import UnreadableBook

MAX_BYTES = 8 << 20
_MAX_DEPTH = 100
# An ampersand that begins none of XML's own references: HTML's, or just a sign.
_AMPERSAND = re.compile(rb"&(?!#\d|#x|(?:amp|lt|gt|quot|apos);)([A-Za-z]\w{1,30};)?")


class BrokenXml(UnreadableBook):
    """A file of a book that is no XML."""


def parse(data: bytes, name: str) -> Element:
    """Return the root; tags and attributes are without their namespaces. name: the file's, for errors.

    Raises UnreadableBook. Expat opens nothing that a document refers to.
    """
    builder = TreeBuilder()
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _MAX_DEPTH:
            raise UnreadableBook(f"nests elements deeper than {_MAX_DEPTH} in {name!r}: do not trust it")
        builder.start(_local(tag), {_local(key): value for key, value in attributes.items()})

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_local(tag))

    def doctype(_name: str, _system: str | None, _public: str | None, declares: bool) -> None:
        # Entities expand, and each element gets a copy of every default: gigabytes from a kilobyte.
        if declares:
            raise UnreadableBook(f"declares XML entities or attributes in {name!r}: do not trust it")

    parser = expat.ParserCreate(namespace_separator="}")
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = doctype
    parser.buffer_text = True
    try:
        parser.Parse(_AMPERSAND.sub(_character, data), True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        if isinstance(error, UnreadableBook):
            raise
        raise BrokenXml(f"has broken XML in {name!r} ({error}): get it again, or convert it") from error
    return builder.close()


def _character(found: re.Match[bytes]) -> bytes:
    """A reference of HTML ("&nbsp;") as numbers of its characters, any other ampersand as XML has it."""
    characters = html5.get(found[1].decode(), "") if found[1] else ""
    return b"".join(b"&#%d;" % ord(each) for each in characters) or b"&amp;" + (found[1] or b"")


def _local(name: str) -> str:
    return name.rpartition("}")[2]
