"""Removes the reasoning that some models write into their answer, between ``<think>`` and ``</think>``."""

from __future__ import annotations

OPENING, CLOSING = "<think>", "</think>"


class ReasoningFilter:
    """Takes the text of one answer in pieces, cut anywhere; returns what is not reasoning."""

    def __init__(self) -> None:
        self._held = ""  # may be the start of the next mark
        self._thinking = False
        self._begun = False

    def feed(self, text: str) -> str:
        """Return the text that is certain to be the answer's; white space before its first word goes."""
        self._held += text
        spoken = []
        while (at := self._held.find(self._mark)) >= 0:
            spoken.append("" if self._thinking else self._held[:at])
            self._held = self._held[at + len(self._mark) :]
            self._thinking = not self._thinking
        kept = _overlap(self._held, self._mark)
        certain, self._held = self._held[: len(self._held) - kept], self._held[len(self._held) - kept :]
        spoken.append("" if self._thinking else certain)
        return self._without_lead("".join(spoken))

    def finish(self) -> str:
        """Return the rest at the end of the answer."""
        rest, self._held = self._held, ""
        return "" if self._thinking else self._without_lead(rest)

    @property
    def _mark(self) -> str:
        return CLOSING if self._thinking else OPENING

    def _without_lead(self, text: str) -> str:
        if not self._begun:
            text = text.lstrip()
            self._begun = bool(text)
        return text


def _overlap(text: str, mark: str) -> int:
    """Return the length of the longest end of ``text`` that ``mark`` starts with."""
    return next((n for n in range(min(len(text), len(mark) - 1), 0, -1) if mark.startswith(text[-n:])), 0)
