"""Tables beside tests: tab-separated values below a head."""

import re
from pathlib import Path


def raw_rows(test: str, name: str) -> list[list[str]]:
    """The columns of each row of the table ``name`` beside the file ``test``, as they are written."""
    lines = Path(test).with_name(name).read_text(encoding="utf-8").splitlines()[1:]
    return [line.split("\t") for line in lines]


def rows(test: str, name: str) -> list[list[str]]:
    """The same, where ``\\n`` is the end of a line, ``\\uXXXX`` a character that is not seen."""
    return [
        [re.sub(r"\\n|\\u([0-9a-f]{4})", _shown, column) for column in row] for row in raw_rows(test, name)
    ]


def _shown(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16)) if escape[1] else "\n"
