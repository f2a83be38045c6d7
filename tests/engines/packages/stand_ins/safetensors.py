"""Stands for safetensors: the names in a file."""

import json
from contextlib import contextmanager
from types import SimpleNamespace


@contextmanager
def safe_open(path: object, framework: str, device: str = "cpu") -> object:
    with open(path, "rb") as file:  # noqa: PTH123 - a stand-in
        table = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    yield SimpleNamespace(keys=table.keys)


class SafetensorError(Exception):
    """A file that is none."""
