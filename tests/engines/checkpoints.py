"""Files of checkpoints, and damages of their folders."""

import hashlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

Damage = Callable[[Path], object]


class Harmful:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def saved(value: object, **how: Any) -> bytes:
    """Return the bytes that torch.save writes."""
    content = io.BytesIO()
    torch.save(value, content, **how)
    return content.getvalue()


def changed(name: str, content: bytes | str) -> Damage:
    return lambda folder: (folder / name).write_bytes(
        content.encode() if isinstance(content, str) else content
    )


def edited(name: str, **entries: object) -> Damage:
    """Change entries of a JSON object; ... leaves one out."""

    def edit(folder: Path) -> None:
        content = json.loads((folder / name).read_text("utf-8")) | entries
        left = {key: value for key, value in content.items() if value is not ...}
        (folder / name).write_text(json.dumps(left), "utf-8")

    return edit


def removed(name: str) -> Damage:
    return lambda folder: (folder / name).unlink()


def cut(name: str) -> Damage:
    """Leave out the last bytes, as a download that broke off."""
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-40])


def tampered(name: str) -> Damage:
    """As the hub's cache has it: a link to a file that is named by its SHA-256, which another content has."""

    def tamper(folder: Path) -> None:
        content = (folder / name).read_bytes()
        blob = (folder / name).with_name(hashlib.sha256(content).hexdigest())
        blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        (folder / name).unlink()
        (folder / name).symlink_to(blob.name)

    return tamper
