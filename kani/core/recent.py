"""A dictionary of a bounded size: what was kept or used the longest time ago is forgotten."""

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(OrderedDict[K, V]):
    """A dictionary of the values that were kept or used last."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def keep(self, key: K, value: V) -> V:
        """Hold a value as the newest one, and forget the oldest beyond the limit."""
        self[key] = value
        self.move_to_end(key)
        while len(self) > self._most:
            self.popitem(last=False)
        return value

    def use(self, key: K) -> V | None:
        """Return the value of a key, from now on the newest one; None if it is not held."""
        return self.keep(key, self[key]) if key in self else None

    def made(self, key: K, make: Callable[[], V]) -> V:
        """Return the value of a key, made if it is not held."""
        return self.keep(key, self[key] if key in self else make())
