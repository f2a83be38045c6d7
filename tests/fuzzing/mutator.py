"""Wrong inputs out of right ones, the same for the same seed on every machine; and parsers to be fuzzed."""

import copy
import json
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

INPUTS = int(os.environ.get("FUZZ_INPUTS", "2000" if "CI" in os.environ else "200"))
SEED = os.environ.get("FUZZ_SEED", "0")

JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, -(2**63), 2**64, 10**400, 0.5, -0.0, 1e308, 5e-324),
    *("", " ", "\0", "\ud800", "\udfff\ud800", "\u202e", "\ufeff", "a" * 5000, "../../etc/passwd", "%00"),
    *("NaN", "true", "1e999", "-1", "{}", "<break time='9e9s'/>", "\U0001f468\u200d\U0001f469", "\r\n\r\n"),
    *([], {}, [[]], [None] * 50, {"": {}}, {"\ud800": "\ud800"}, [0.1] * 2000),
)
"""Values that are seldom expected, for any field."""

TOKENS = (
    *("NaN", "Infinity", "-Infinity", "1e999", "\\ud800", "\\u0000", "null", "[" * 1500, '{"a":' * 1500),
    *("\0", "\ud800", "\x85", "\u2028", "\ufeff", "\U0010ffff", "%", "&", "=", "..", "\r\n", '"', "'", "\\"),
    *("999999999999999999999", "0x41", "1_000", "١٢٣", "½", "<" * 50, "*" * 50, "`" * 50, "|" * 50, "(" * 50),
)
"""Pieces of text that readers stumble over."""

_LENGTHS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


_JOINTS = ("", "", " ", " ", " ", "-", "/", ".", ":", ",", ", ")


class Mutator:
    """Makes inputs of samples: objects (of JSON), texts or bytes."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def text(self, sample: str) -> str:
        """A text with up to eight places changed."""
        for _ in range(self._random.randint(1, 8)):
            at, end = self._span(len(sample))
            token, character = self._random.choice(TOKENS), chr(self._random.randrange(0x110000))
            middle = (token, sample[at:end] * 3, "", character, sample[at:end][::-1])
            sample = sample[:at] + self._random.choice(middle) + sample[end:]
        return sample

    def fragments(self, sample: str) -> str:
        """Pieces of words of the sample, joined by marks that words are joined with."""
        words = sample.split()
        found = []
        for word in self._random.choices(words, k=self._random.randint(1, 8)):
            at, end = self._span(len(word))
            found += self._random.choice((word, word[at:end])), self._random.choice(_JOINTS)
        return "".join(found)

    def bytes(self, sample: bytes) -> bytes:
        """Bytes with up to eight places changed, or the beginning of them."""
        content = bytearray(sample)
        for _ in range(self._random.randint(1, 8)):
            at, end = self._span(len(content))
            match self._random.randrange(8):
                case 0 | 1 if at < len(content):
                    content[at] ^= 1 << self._random.randrange(8)
                case 2:
                    content[at:end] = self._random.randbytes(end - at)
                case 3:
                    content[at:at] = content[at:end] * self._random.choice((1, 2, 20))
                case 4:
                    del content[at:end]
                case 5:
                    del content[max(at, len(content) // 2) :]
                case 6:
                    size, order = self._random.choice((1, 2, 4, 8)), self._random.choice(("little", "big"))
                    length = self._random.choice(_LENGTHS) % 256**size
                    content[at : at + size] = length.to_bytes(size, order)
                case 7:
                    content[at:end] = bytes([self._random.choice((0, 0xFF))]) * (end - at)
        return bytes(content)

    def object(self, sample: Any) -> Any:
        """An object of JSON with up to three values changed, dropped, added or wrapped."""
        whole = json.loads(json.dumps([sample]))
        for _ in range(self._random.randint(1, 3)):
            holder, key = self._place(whole)
            match self._random.randrange(6):
                case 0 if holder is not whole:
                    del holder[key]
                case 1:
                    holder[key] = [holder[key]] * self._random.randint(0, 3)
                case 2 if isinstance(holder, dict):
                    holder[self.text(str(key))] = holder[key]
                case 3 if isinstance(holder[key], str):
                    holder[key] = self.text(holder[key])
                case _:
                    holder[key] = copy.deepcopy(self._random.choice(JUNK))
        return whole[0]

    def json(self, sample: Any) -> str:
        """The text of such an object; now and then a broken one."""
        written = json.dumps(self.object(sample), ensure_ascii=self._random.random() < 0.5)
        return self.text(written) if self._random.random() < 0.3 else written

    def pieces(self, sample: bytes) -> list[bytes]:
        """Bytes cut at a few places."""
        cuts = sorted(self._random.randrange(len(sample) + 1) for _ in range(self._random.randint(0, 3)))
        return [sample[at:end] for at, end in zip([0, *cuts], [*cuts, len(sample)], strict=True)]

    def sometimes(self) -> bool:
        return self._random.random() < 0.5

    def _span(self, length: int) -> tuple[int, int]:
        at = self._random.randint(0, length)
        return at, min(length, at + self._random.choice((0, 1, 1, 2, 4, 16, 200)))

    def _place(self, whole: list[Any]) -> tuple[Any, Any]:
        places: list[tuple[Any, Any]] = [(whole, 0)]
        for holder, key in places:
            inner = holder[key]
            if isinstance(inner, dict | list) and len(places) < 500:
                keys = inner if isinstance(inner, dict) else range(len(inner))
                places += [(inner, each) for each in keys]
        return self._random.choice(places)


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
