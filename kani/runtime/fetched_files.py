"""Files of the model hub's cache, which names the content of each by its SHA-256."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

_SHA256 = re.compile(r"[0-9a-f]{64}")


def check_content(path: Path) -> bool:
    """Return False for a fetched file that does not match its SHA-256; any other file is not checked.

    Raises OSError.
    """
    content = path.resolve(strict=True)
    if not _SHA256.fullmatch(content.name):
        return True
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == content.name
