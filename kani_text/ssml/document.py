"""Reads an SSML document into its parts: see ``kani_text.ssml.types``."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from kani_text.languages import canonical
from kani_text.markup.masked_text import PARAGRAPH_END, PRIVATE_USE, MaskedText
from kani_text.markup.tags import BreakBudget, pause_seconds
from kani_text.phonetics import ALPHABETS
from kani_text.ssml import values
from kani_text.ssml.scanner import Token, failure, scan
from kani_text.ssml.types import PLAIN_STYLE, Mark, Part, PhraseEnd, SsmlDocument, Style
from kani_text.types import Replacement

MAX_DEPTH = 32
"""Elements inside each other."""

MAX_ELEMENTS = 2_000
MAX_MARKS = 1_000
MAX_REPLACEMENT = 200
"""Characters that are spoken for one element, or that it contains."""

MAX_UNUSED = 50
"""Names that are listed as without effect."""

MAX_GROWTH = 120
"""Characters that a segment may have more when it is spoken than as it is written."""

ROOT = "speak"
SAY_AS = {
    **{kind: kind for kind in ("date", "time", "cardinal", "ordinal", "characters", "telephone")},
    "currency": "currency",
    "unit": "unit",
    "spell-out": "characters",
    "verbatim": "characters",
    "digits": "characters",
    "number": "cardinal",
}
"""Kinds of ``<say-as>``, with other services' names for them."""

_REPLACED = ("sub", "phoneme", "say-as")
_SPOKEN = frozenset((ROOT, "p", "s", "w", "token", "lang", "voice", "prosody", "emphasis"))
_UNSPOKEN = frozenset(("desc", "metadata", "meta", "lexicon"))
_MARKS = {"mark": "name", "bookmark": "mark"}
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8}){0,4}")
_NO_TIME = re.compile(r"\+?[0.,]+\s*m?s", re.IGNORECASE)
_WHITE_SPACE = dict.fromkeys((9, 10, 11, 12, 13, 133, 8232, 8233), " ")


def parse(text: str, offset: int = 0, *, rooted: bool = True) -> SsmlDocument:
    """Parse a document that begins at ``offset`` of the client's text.

    rooted: whether everything is inside ``<speak>``; if not, that is optional. Raises InvalidRequest, with
    line, column and tag.
    """
    return _Reader(text, offset).read(rooted=rooted)


@dataclass(slots=True)
class _Element:
    token: Token
    style: Style
    """The style outside of it."""
    content: list[Token] = field(default_factory=list)
    """Its text, where something else is spoken for it."""


class _Reader:
    def __init__(self, text: str, offset: int) -> None:
        self._text = text
        self._offset = offset
        self._plain = MaskedText()
        self._breaks = BreakBudget()
        self._open: list[_Element] = []
        self._elements = 0
        self._style = PLAIN_STYLE
        self._growth = 0
        self._parts: list[Part] = []
        self._marks: list[Mark] = []
        """Each is reached with the next character that is spoken, or the next pause."""
        self._waiting: list[str] = []
        """Names of marks that are not reached yet."""
        self._unused: dict[str, None] = {}

    def read(self, *, rooted: bool) -> SsmlDocument:
        closed = False
        for token in scan(self._text):
            if not self._open and rooted and (closed or token.name != ROOT) and self._speaks(token):
                where = "after </speak>" if closed else "before <speak>"
                raise self._failure(token, f"there is something {where}: put it inside")
            if token.name:
                self._read_tag(token)
                closed = closed or (token.name == ROOT and not self._open)
            else:
                self._read_text(token)
        if self._open:
            element = self._open[-1].token
            raise self._failure(element, f"<{element.name}> is not closed: add </{element.name}>")
        self._parts += self._plain.take()
        self._reach(len(self._text))
        unused = tuple(list(self._unused)[:MAX_UNUSED])
        return SsmlDocument(tuple(self._parts), tuple(self._marks), unused)

    def _reach(self, at: int) -> None:
        """Place the marks that wait: the character ``at`` of the document is spoken next."""
        self._marks += [Mark(name, self._offset + at) for name in self._waiting]
        self._waiting.clear()

    def _speaks(self, token: Token) -> bool:
        return token.name != "" or bool(token.text and token.text.strip("\ufeff \t\r\n"))

    def _failure(self, token: Token, problem: str) -> Exception:
        return failure(self._text, token.start, problem)

    def _read_tag(self, token: Token) -> None:
        if token.closing:
            self._close(token)
            return
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise self._failure(token, f"there are too many tags (at most {MAX_ELEMENTS})")
        if len(self._open) >= MAX_DEPTH:
            raise self._failure(token, f"<{token.name}> is too deep (at most {MAX_DEPTH} inside each other)")
        if self._open and self._open[-1].token.name in _REPLACED:
            raise self._failure(token, f"<{self._open[-1].token.name}> cannot contain <{token.name}>")
        self._open.append(_Element(token, self._style))
        self._begin(token)
        if token.empty:
            self._end(self._open.pop(), token)

    def _close(self, token: Token) -> None:
        if not self._open:
            raise self._failure(token, f"</{token.name}> closes nothing: leave it out")
        element = self._open[-1]
        if element.token.name != token.name:
            name = element.token.name
            raise self._failure(token, f"</{token.name}> comes before </{name}>, which has to come first")
        self._open.pop()
        self._end(element, token)

    def _begin(self, token: Token) -> None:
        name = token.name
        self._show_tag(token, len(self._open) - 1)
        if name in _MARKS:
            self._add_mark(token, token.attributes.get(_MARKS[name], ""))
        elif name == "break":
            self._pause(token)
        elif name not in _SPOKEN and name not in _REPLACED:
            self._note(name)
        self._set_style(self._styled(token))

    def _end(self, element: _Element, token: Token) -> None:
        if token.name in _REPLACED:
            self._replace(element)
        if not token.empty:
            self._show_tag(token, len(self._open))
        self._set_style(element.style)

    def _show_tag(self, token: Token, depth: int) -> None:
        """Mask the tag of an element inside ``depth`` others, or end a sentence where it is one by itself."""
        if token.name in ("p", "s") or (token.name == ROOT and depth > 0):
            self._end_sentence(token)
        else:
            self._mask(token)

    def _read_text(self, token: Token) -> None:
        """Copy what is spoken, and mask what is not."""
        if token.text is None or any(element.token.name in _UNSPOKEN for element in self._open):
            self._mask(token)
        elif self._open and self._open[-1].token.name in _REPLACED:
            self._open[-1].content.append(token)
        else:
            self._copy(token)

    def _copy(self, token: Token) -> None:
        assert token.text is not None
        written = self._text[token.start : token.end]
        shown = token.text.translate(_WHITE_SPACE)
        lead = written.find(token.text) if token.text else len(written)
        if visible := re.search(r"\S", shown):
            self._reach(token.start + max(lead, 0) + visible.start())
        if lead >= 0:
            self._plain.mask(written[:lead])
            self._plain.copy(shown)
            self._plain.mask(written[lead + len(shown) :])
        elif PRIVATE_USE.search(shown):
            self._plain.mask(written)
        else:
            # An entity: its character stands in the first of its places.
            self._plain.substitute(shown, written[:1])
            self._plain.mask(written[1:])

    def _mask(self, token: Token) -> None:
        self._plain.mask(self._text[token.start : token.end])

    def _end_sentence(self, token: Token) -> None:
        """End the paragraph or sentence that is being spoken, with what stands in the tag's place."""
        written, plain = self._text[token.start : token.end], self._plain
        if not plain.last_spoken:
            plain.mask(written)
            return
        end = PARAGRAPH_END if token.name == "p" else " " if plain.ends_with_mark else ". "
        plain.substitute(end, written[: len(end)])
        plain.mask(written[len(end) :])
        plain.new_line()

    def _pause(self, token: Token) -> None:
        wanted = token.attributes.get("time", "")
        given = {name.lower(): value for name, value in token.attributes.items()}
        requested = self._breaks.take(pause_seconds(given))
        if requested is not None:
            self._reach(token.end)
            self._plain.pause(requested)
        elif wanted and not _NO_TIME.fullmatch(wanted):
            self._note("break.time")

    def _add_mark(self, token: Token, name: str) -> None:
        if not name or len(name) > MAX_REPLACEMENT:
            raise self._failure(token, f"<{token.name}> needs a name of 1 to {MAX_REPLACEMENT} characters")
        self._waiting.append(name)
        if len(self._marks) + len(self._waiting) > MAX_MARKS:
            raise self._failure(token, f"there are too many marks (at most {MAX_MARKS})")

    def _note(self, name: str) -> None:
        self._unused[f"ssml.{name}"] = None

    def _set_style(self, style: Style) -> None:
        if style != self._style:
            self._style = style
            self._parts += [*self._plain.take(), style]

    def _styled(self, token: Token) -> Style:
        """The style inside an element that begins."""
        style, attributes = self._style, token.attributes
        language = attributes.get("xml:lang") or (attributes.get("language") if token.name == "voice" else "")
        if language:
            if _LANGUAGE.fullmatch(language):
                style = replace(style, language=canonical(language), voice=None)
            else:
                self._note("lang")
        if token.name == "voice":
            if "name" in attributes:
                style = replace(style, voice=attributes["name"][:MAX_REPLACEMENT])
            for name in attributes.keys() - {"name", "language", "xml:lang"}:
                self._note(f"voice.{name}")
        elif token.name == "prosody":
            style = self._with_prosody(style, token)
        elif token.name == "emphasis":
            level = values.EMPHASIS.get(attributes.get("level", "moderate"), values.EMPHASIS["moderate"])
            style = replace(style, emphasis=level.inside(style.emphasis))
        return style

    def _with_prosody(self, style: Style, token: Token) -> Style:
        def value(name: str, read: Callable[[str], float | None], neutral: float) -> float:
            given = token.attributes.get(name)
            found = read(given) if given is not None else neutral
            if found is None:
                self._note(f"prosody.{name}")
            return neutral if found is None else found

        for name in sorted(token.attributes.keys() - {"rate", "pitch", "volume", "xml:lang"}):
            self._note(f"prosody.{name}")
        return style.changed(
            value("rate", values.rate_factor, 1.0),
            value("pitch", values.pitch_semitones, 0.0),
            value("volume", values.volume_decibels, 0.0),
        )

    def _replace(self, element: _Element) -> None:
        """Have something else spoken for the content of ``<sub>``, ``<phoneme>`` or ``<say-as>``."""
        token, tokens = element.token, element.content
        content = " ".join("".join(part.text or "" for part in tokens).split())
        replacement = self._replacement(token, content)
        if replacement is None:
            for part in tokens:
                self._copy(part)
            return
        start, end = (tokens[0].start, tokens[-1].end) if tokens else (token.start, token.start)
        if not replacement.spelling and replacement.ipa is None:
            self._plain.mask(self._text[start:end])
            return
        if not content:
            # There is no place for what would be spoken: the tag was masked already.
            self._plain.mask(self._text[start:end])
            self._note(token.name)
            return
        written = self._text[start:end]
        lead = len(written) - len(written.lstrip())
        self._reach(start + lead)
        self._plain.mask(written[:lead])
        word = written.strip()
        self._plain.say(word, replace(replacement, end=max(end - start - lead, 1)))
        self._plain.mask(written[lead + len(word) :])
        self._growth += max(len(replacement.spelling) * (4 if replacement.say_as else 1) - len(word), 0)
        if self._growth > MAX_GROWTH:
            self._parts += [*self._plain.take(), PhraseEnd()]
            self._growth = 0

    def _replacement(self, token: Token, content: str) -> Replacement | None:
        name, attributes = token.name, token.attributes
        needed = {"sub": "alias", "phoneme": "ph", "say-as": "interpret-as"}[name]
        given = attributes.get(needed)
        if given is None:
            raise self._failure(token, f"<{name}> needs the attribute {needed}")
        if max(len(given), len(content)) > MAX_REPLACEMENT:
            raise self._failure(token, f"<{name}> is too long (at most {MAX_REPLACEMENT} characters)")
        if name == "sub":
            return Replacement(0, " ".join(given.split()))
        if name == "say-as":
            kind = SAY_AS.get(given)
            if kind is None:
                self._note(f"say-as.{given[:40]}")
                return None
            return Replacement(0, content, say_as=(kind, attributes.get("format", "")))
        alphabet = attributes.get("alphabet", "ipa")
        if alphabet not in ALPHABETS:
            self._note(f"phoneme.{alphabet[:40]}")
            return None
        try:
            return Replacement(0, content, ipa=ALPHABETS[alphabet](given))
        except ValueError as error:
            raise self._failure(token, f'<phoneme> has a "ph" that {error}') from None
