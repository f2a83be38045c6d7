"""The parser of each command line: an error is one line, with the option that was most likely meant."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Sequence
from typing import NoReturn

from kani.cli.prerequisites import USAGE


class Parser(argparse.ArgumentParser):
    """Names an error in one line, without the options before it, which fill a page."""

    def error(self, message: str) -> NoReturn:
        """Print the line, and end the program."""
        unknown = re.match(r"unrecognized arguments: (-[^ =]+)", message)
        known = difflib.get_close_matches(unknown[1], self._option_string_actions, 1, 0.7) if unknown else []
        hint = f"; did you mean {known[0]}?" if known else ""
        self.exit(USAGE, f"{self.prog}: {message}{hint}; --help lists the options\n")

    def options_of(self, arguments: Sequence[str]) -> dict[str, str]:
        """Return the options of a command line as they are written there, by their destinations."""
        written = [each.partition("=")[0] for each in arguments if each.startswith("-")]
        actions = self._option_string_actions
        return {actions[each].dest: each for each in written if each in actions}
