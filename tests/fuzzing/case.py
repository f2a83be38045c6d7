"""A parser to be fuzzed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.fuzzing.mutator import Mutator


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    samples: tuple[Any, ...]  # valid inputs
    make: Callable[[Mutator, Any], Any]  # an input from a valid one
    parse: Callable[[Any], object]
    errors: tuple[type[Exception], ...] = ()  # documented
    share: float = 1.0  # of the default number of inputs; less for slow parsers


def as_json(mutator: Mutator, sample: Any) -> str:
    return mutator.json(sample)


def as_json_bytes(mutator: Mutator, sample: Any) -> bytes:
    """A body of JSON, perhaps not valid UTF-8."""
    written = mutator.json(sample).encode("utf-8", "surrogatepass")
    return written if mutator.sometimes() else mutator.bytes(written)
