"""Names the fields of a request that have no effect, for the header ``x-unused``."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from kani.text.foreign import header_value

_MOST = 20
_NAME = re.compile(r"[\w.-]{1,60}", re.ASCII)


def unknown_fields(given: Iterable[str], known: Collection[str]) -> list[str]:
    """Return the given names that are not known and may stand in a header, ``_MOST`` at most."""
    return [name for name in given if name not in known and _NAME.fullmatch(name)][:_MOST]


def unused_header(names: Collection[str]) -> dict[str, str]:
    """Return the header for the names, none without any."""
    return {"x-unused": header_value(", ".join(names))} if names else {}
