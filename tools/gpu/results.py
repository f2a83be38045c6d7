"""Results of the parts: each is a line of JSON, in the file at once."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Case:
    """The device that a part runs on, and the place that it writes to."""

    part: str
    small: bool  # tiny sizes
    device: torch.device
    work: Path  # folder of the models, shared by all parts
    file: Path  # of the results
    until: float  # ``time.time()`` at which the part is stopped
    options: dict[str, str] = field(default_factory=dict)  # folders that the user named

    @property
    def left_s(self) -> float:
        """Seconds until the part is stopped."""
        return self.until - time.time()

    def write(self, check: str, *, ok: bool | None = None, **values: Any) -> None:
        """Write a result. ok: whether it is as it has to be; None for a figure without a goal."""
        line = {"part": self.part, "check": check, **({} if ok is None else {"ok": ok}), **values}
        append(self.file, line)


def append(file: Path, line: dict[str, Any]) -> None:
    """Add a line to the results, and print it."""
    text = json.dumps({key: _rounded(value) for key, value in line.items()}, ensure_ascii=False)
    with file.open("a", encoding="utf-8") as out:
        out.write(text + "\n")
    print(text, flush=True)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value
