"""The parser of each command line: an error is one line, with the option that was most likely meant."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from typing import NoReturn

USAGE = 2
"""Exit code of a wrong command line, and of a setting that no further start cures."""


class Parser(argparse.ArgumentParser):
    """Names an error in one line, without the options before it, which fill a page."""

    def error(self, message: str) -> NoReturn:
        """Print the line, and end the program."""
        unknown = message.removeprefix("unrecognized arguments: ").partition(" ")[0].partition("=")[0]
        known = difflib.get_close_matches(unknown, self._option_string_actions, 1)
        hint = f"; did you mean {known[0]}?" if known and unknown not in known else ""
        self.exit(USAGE, f"{self.prog}: {message}{hint}; --help lists the options\n")

    def options_of(self, arguments: Sequence[str]) -> dict[str, str]:
        """Return the options of a command line as they are written there, by their destinations."""
        written = [each.partition("=")[0] for each in arguments if each.startswith("-")]
        actions = self._option_string_actions
        return {actions[each].dest: each for each in written if each in actions}
