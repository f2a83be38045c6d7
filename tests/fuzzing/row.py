"""A parser to be fuzzed: one row of the tables beside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.fuzzing.mutator import Mutator


@dataclass(frozen=True, slots=True)
class Row:
    """A parser, right inputs of it, and what it may raise.

    make: an input out of a right one; read: reads it; errors: what is documented to come out; share: of the
    inputs that a row gets by default, for those whose reading takes long.
    """

    name: str
    samples: tuple[Any, ...]
    make: Callable[[Mutator, Any], Any]
    read: Callable[[Any], object]
    errors: tuple[type[Exception], ...] = ()
    share: float = 1.0


def as_json(mutator: Mutator, sample: Any) -> str:
    """A message of JSON."""
    return mutator.json(sample)


def as_json_bytes(mutator: Mutator, sample: Any) -> bytes:
    """A body of JSON, which may be no UTF-8."""
    written = mutator.json(sample).encode("utf-8", "surrogatepass")
    return written if mutator.sometimes() else mutator.bytes(written)
