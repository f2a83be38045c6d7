"""Removes the reasoning that some models write into their answer, between ``<think>`` and ``</think>``.

With some templates the opening mark is part of the prompt, and only the closing one is in the answer.
"""

OPENING, CLOSING = "<think>", "</think>"

MAX_LEAD = 2**16
"""Characters that are kept of a lead, in case that it is no reasoning after all."""


class ReasoningFilter:
    """Takes the text of one answer in pieces, cut anywhere; returns what is not reasoning.

    ``unopened`` is True once a closing mark has come without an opening one: what came before it was
    reasoning, and some of it may have been returned.
    """

    def __init__(self, *, leads: bool = False) -> None:
        """leads: whether the answer is likely to begin with reasoning that has no opening mark.

        Nothing is returned then before the closing mark, or the end.
        """
        self.unopened = False
        self._lead: str | None = "" if leads else None
        self._held = ""  # may be the start of the next mark
        self._thinking = False
        self._begun = False

    def feed(self, text: str) -> str:
        """Return the text that is certain to be the answer's; white space before its first word goes."""
        if self._lead is not None:
            text = self._after_lead(self._lead, text)
        self._held += text
        spoken = ""
        while (found := self._next_mark()) is not None:
            at, mark = found
            if mark == CLOSING and not self._thinking:
                self.unopened, spoken = True, ""
            elif not self._thinking:
                spoken += self._held[:at]
            self._thinking = mark == OPENING
            self._held = self._held[at + len(mark) :]
        kept = max(_overlap(self._held, mark) for mark in self._marks)
        certain, self._held = self._held[: len(self._held) - kept], self._held[len(self._held) - kept :]
        return self._without_lead_space(spoken if self._thinking else spoken + certain)

    def _after_lead(self, lead: str, text: str) -> str:
        """Return the text after the closing mark; empty while that has not come."""
        at = (so_far := lead + text).find(CLOSING, max(0, len(lead) - len(CLOSING)))
        if at < 0:
            self._lead = so_far[-MAX_LEAD:]
            return ""
        self._lead = None
        self.unopened = OPENING not in so_far[:at]
        return so_far[at + len(CLOSING) :]

    def finish(self) -> str:
        lead, self._lead = self._lead, None
        rest = self.feed(lead) if lead else ""
        held, self._held = self._held, ""
        return rest if self._thinking else rest + self._without_lead_space(held)

    @property
    def _marks(self) -> tuple[str, ...]:
        return (CLOSING,) if self._thinking else (OPENING, CLOSING)

    def _next_mark(self) -> tuple[int, str] | None:
        """Return the position and the text of the first mark, if there is one."""
        found = [(at, mark) for mark in self._marks if (at := self._held.find(mark)) >= 0]
        return min(found, default=None)

    def _without_lead_space(self, text: str) -> str:
        if not self._begun:
            text = text.lstrip()
            self._begun = bool(text)
        return text


def _overlap(text: str, mark: str) -> int:
    """Return the length of the longest end of ``text`` that ``mark`` starts with."""
    return next((n for n in range(min(len(text), len(mark) - 1), 0, -1) if mark.startswith(text[-n:])), 0)
