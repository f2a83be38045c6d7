"""The languages a client prefers, for texts in an unclear language."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from msgspec import Meta

from kani.core.errors import UnsupportedLanguage
from kani_text.languages import resolve

MAX_LANGUAGES = 20
"""Languages accepted of one client."""

MAX_TAG_LENGTH = 35
"""Characters of a tag (BCP 47, section 4.4.1)."""

Languages = Annotated[list[Annotated[str, Meta(max_length=MAX_TAG_LENGTH)]], Meta(max_length=MAX_LANGUAGES)]
"""Field ``languages`` in the messages of Kani and VoxCPM."""

MAX_HEADER_LENGTH = 1000
"""Characters of an ``Accept-Language`` that are read; browsers send some 100."""


def accept_languages(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return the tags (BCP 47) of ``Accept-Language``, best first; empty without the header, or for ``*``.

    Parts that are malformed or name no known language are skipped: the header is a browser's, not a user's.
    """
    header = headers.get("accept-language", "")[:MAX_HEADER_LENGTH]
    ranked = [_ranked(part) for part in header.split(",")]
    ordered = sorted(ranked, key=lambda ranked: ranked[1], reverse=True)
    return known_languages([tag for tag, quality in ordered if tag and quality > 0])


def _ranked(part: str) -> tuple[str, float]:
    """Parse one part of the header: a language and its quality, 0 if malformed."""
    tag, *parameters = (piece.strip() for piece in part.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                quality = float(value)
            except ValueError:
                return tag, 0.0
            return tag, quality if 0 <= quality <= 1 else 0.0
    return tag, 1.0


def known_languages(tags: Sequence[str]) -> tuple[str, ...]:
    """Return the known languages among ``tags``, each once, in BCP 47 form; ``MAX_LANGUAGES`` at most."""
    known: dict[str, None] = {}
    for tag in tags[:MAX_LANGUAGES]:
        if len(tag) > MAX_TAG_LENGTH:
            continue
        try:
            known[resolve(tag)] = None
        except UnsupportedLanguage:
            continue
    return tuple(known)
