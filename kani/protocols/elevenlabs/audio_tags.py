"""Audio tags of ElevenLabs' later models, "[whispers]": directions to the voice, which are not spoken.

No engine here acts on them, so they become spaces: the text keeps its length, and its characters their times.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_TAG_LENGTH = 100
"""Characters between the brackets; in longer ones there is text, which is spoken."""

MAX_NAMED = 20
MAX_NAME_LENGTH = 40
"""Tags that a header names, and characters of each."""

# A Markdown link, "[text](address)", is none.
_TAG = re.compile(rf"\[(?=[^\W\d_])[^\[\]\x00-\x1f\x7f]{{1,{MAX_TAG_LENGTH}}}\](?!\()")
_OPEN = re.compile(rf"\[(?:(?=[^\W\d_])[^\[\]\x00-\x1f\x7f]{{1,{MAX_TAG_LENGTH}}}\]?)?\Z")


def without_tags(text: str) -> str:
    """Return ``text`` with each tag replaced by as many spaces."""
    return _TAG.sub(lambda tag: " " * len(tag[0]), text)


def named_tags(texts: Iterable[str]) -> list[str]:
    """Return the texts' tags, each once, for a header: in ASCII, shortened, ``MAX_NAMED`` at most."""
    found = dict.fromkeys(tag[0].lower() for text in texts for tag in _TAG.finditer(text))
    return [_header_name(tag) for tag in list(found)[:MAX_NAMED]]


def _header_name(tag: str) -> str:
    name = tag[1:-1].encode("ascii", "backslashreplace").decode()
    return f"[{name[:MAX_NAME_LENGTH]}]"


class IncrementalTags:
    """Removes the tags of a text that comes in pieces: what may become a tag waits for its end."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Return the text that is certain, tags included: ``without_tags`` of it has none."""
        text = self._held + text
        begun = _OPEN.search(text)
        end = begun.start() if begun is not None else len(text)
        self._held = text[end:]
        return text[:end]

    def finish(self) -> str:
        rest, self._held = self._held, ""
        return rest
