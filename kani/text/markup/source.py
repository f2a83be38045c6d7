"""Text that was fed and not read yet."""

from __future__ import annotations

import re

MAX_HELD_BACK = 300
"""Characters that are held back at most: a tag or the end of a link that is longer is text."""

MAX_LOOKAHEAD = 120
"""Characters searched for the end of a code span or of a link's text: their words wait for it."""


class PendingText:
    """``text`` is what is there; ``complete``: whether to decide as if it ended there."""

    def __init__(self) -> None:
        self.text = ""
        self.complete = False

    def may_continue(self, at: int, end: int, longest: int = MAX_HELD_BACK) -> bool:
        """True if ``[at, end)`` may continue with text that is still to come."""
        return end >= len(self.text) and not self.complete and end - at < longest

    def may_begin(self, begun: re.Pattern[str], at: int, longest: int = MAX_HELD_BACK) -> bool:
        """True if all that is there from ``at`` on may be the beginning of a match."""
        return self.may_continue(at, len(self.text), longest) and begun.fullmatch(self.text, at) is not None

    def lookahead_end(self, at: int) -> int:
        """End of a search from ``at`` on that leaves one character of ``MAX_HELD_BACK`` for what follows the
        match."""
        return at + MAX_HELD_BACK - 1

    def is_line_end(self, at: int) -> bool:
        """True if a line, or the text, ends at ``at``."""
        return self.text.startswith("\n", at) or (self.complete and at >= len(self.text))

    def is_blank(self, at: int) -> bool:
        """True if white space, or the end, is at ``at``."""
        return at >= len(self.text) or self.text[at].isspace()
