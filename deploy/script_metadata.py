"""Writes the packages of requirements.txt into start_websocket_server.py, for `uv run`.

Run `python deploy/script_metadata.py` after a change of requirements.txt. It replaces the inline script
metadata (PEP 723) there.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ROOT / "requirements.txt"
SCRIPT = ROOT / "start_websocket_server.py"

_BLOCK = re.compile(r"^# /// script\n(?:# .*\n)*# ///\n", re.MULTILINE)
_WIDTH = 110
_INDENT = "#     "


def block(requirements: str) -> str:
    """Return the metadata block with the requirements of the text of a requirements file."""
    lines = (line.partition("#")[0].strip() for line in requirements.splitlines())
    # A space inside a requirement is no place to break the line.
    quoted = (line.replace('"', "'").replace(" ", "\0") for line in lines if line)
    packages = " ".join(f'"{line}",' for line in quoted)
    wrapped = textwrap.wrap(
        packages,
        _WIDTH,
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
    wanted = '# requires-python = ">=3.11"'
    made = "\n".join(("# /// script", wanted, "# dependencies = [", *wrapped, "# ]", "# ///", ""))
    return made.replace("\0", " ")


def updated(script: str, requirements: str) -> str:
    """Return the text of a script with its metadata block replaced. Raises ValueError if it has not one."""
    made, count = _BLOCK.subn(lambda _: block(requirements), script)
    if count != 1:
        raise ValueError(f"a script has one metadata block, this one {count}")
    return made


if __name__ == "__main__":
    text = updated(SCRIPT.read_text(encoding="utf-8"), REQUIREMENTS.read_text(encoding="utf-8"))
    SCRIPT.write_text(text, encoding="utf-8")
