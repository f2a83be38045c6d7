"""Reads the tensors of a file that PyTorch saved, without PyTorch and without running anything of the file.

Such a file is a zip archive with a pickle and the tensors' bytes. A pickle is a program; here only the
instructions that build dictionaries, lists and tensors are known, and the few functions that a pickle of
tensors names are never called: ``_Reader`` does their work. Anything else is an error.
"""

from __future__ import annotations

import io
import math
import pickletools
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from kani.engines.kokoro.network.onnx_model import Array

MAX_BYTES, MAX_PICKLE_BYTES, MAX_NUMBERS = 2 << 30, 16 << 20, 1 << 29
"""Limits of a file's content, of its pickle, and of the numbers of all tensors; Kokoro has 82 million."""

_TYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "<u2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "<u1",
}
_BRAIN_FLOAT = "BFloat16Storage"

_VALUES = ("BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT")
"""Instructions that put their argument on the stack."""


class NoTensors(ValueError):
    """The file is not what ``torch.save`` writes of tensors; the message is the reason."""


class _Name(NamedTuple):
    """A function or class that a pickle names."""

    module: str
    name: str


class _Storage(NamedTuple):
    """The bytes that tensors are views of."""

    key: str
    type: str
    size: int


class _Mark:
    """A place in the stack."""


def read_tensors(content: bytes) -> Any:
    """Return a file's dictionaries and lists, with an array for each tensor. Raises NoTensors."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _Reader(archive).read()
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise NoTensors("no archive of torch.save (those before PyTorch 1.6 are not read)") from error


class _Reader:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        if sum(self._sizes.values()) > MAX_BYTES:
            raise NoTensors(f"its content is longer than {MAX_BYTES} bytes")
        found = [name for name in self._sizes if name.endswith("/data.pkl")]
        if len(found) != 1:
            raise NoTensors("no archive of torch.save: it has no data.pkl")
        self._folder = found[0].removesuffix("data.pkl")
        self._bytes: dict[str, bytes] = {}
        self._numbers = 0

    def read(self) -> Any:
        name = self._folder + "data.pkl"
        if self._sizes[name] > MAX_PICKLE_BYTES:
            raise NoTensors(f"its pickle is longer than {MAX_PICKLE_BYTES} bytes")
        if self._folder + "byteorder" in self._sizes:
            order = self._archive.read(self._folder + "byteorder")
            if order != b"little":
                raise NoTensors("its bytes are not in little-endian order")
        return _run(self._archive.read(name), self._storage, self._build)

    def _storage(self, reference: Any) -> _Storage:
        match reference:
            case ("storage", _Name("torch", kind), str(key), str(), int(size)) if kind in _TYPES:
                if not key.isdecimal() or f"{self._folder}data/{key}" not in self._sizes:
                    raise NoTensors(f"a tensor has no bytes: {key[:20]!r}")
                return _Storage(key, kind, size)
        raise NoTensors("it refers to something that is no storage of numbers")

    def _build(self, name: _Name, arguments: Any) -> Any:
        match name, arguments:
            case ("collections", "OrderedDict"), ():
                return {}
            case ("torch._utils", "_rebuild_parameter"), (np.ndarray() as tensor, *_):
                return tensor
            case (
                ("torch._utils", "_rebuild_tensor_v2"),
                (_Storage() as storage, int(offset), tuple(shape), tuple(strides), *_),
            ):
                return self._tensor(storage, offset, shape, strides)
        raise NoTensors(f"it calls {name.module}.{name.name}, which makes no tensor")

    def _tensor(
        self, storage: _Storage, offset: int, shape: tuple[Any, ...], strides: tuple[Any, ...]
    ) -> np.ndarray:
        kind = np.dtype(_TYPES[storage.type])
        numbers = (offset, *shape, *strides)
        if not all(type(number) is int and 0 <= number <= MAX_BYTES for number in numbers):
            raise NoTensors("the shape of a tensor is not one of whole numbers")
        self._numbers += math.prod(shape)
        if self._numbers > MAX_NUMBERS or len(shape) != len(strides):
            raise NoTensors(f"a tensor has the shape {shape} (all tensors: at most {MAX_NUMBERS} numbers)")
        if storage.key not in self._bytes:
            self._bytes[storage.key] = self._archive.read(f"{self._folder}data/{storage.key}")
        content = self._bytes[storage.key]
        try:
            # A view: numpy checks that it stays inside.
            array = np.ndarray(
                shape,
                kind,
                content,
                offset * kind.itemsize,
                tuple(stride * kind.itemsize for stride in strides),
            )
        except (ValueError, TypeError) as error:
            raise NoTensors(f"a tensor exceeds its bytes ({error})") from error
        if storage.type == _BRAIN_FLOAT:
            return (array.astype(np.uint32) << 16).view(np.float32)
        return array


def _run(pickled: bytes, storage: Callable[[Any], _Storage], build: Callable[[_Name, Any], Any]) -> Any:
    """Run the instructions of a pickle. Raises NoTensors."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        at = max(index for index, item in enumerate(stack) if isinstance(item, _Mark))
        items = stack[at + 1 :]
        del stack[at:]
        return items

    def pop(count: int) -> list[Any]:
        items = stack[-count:]
        if len(items) != count:
            raise NoTensors("its pickle is broken")
        del stack[-count:]
        return items

    try:
        for instruction, given, _ in pickletools.genops(pickled):
            argument: Any = given
            match instruction.name:
                case "PROTO" | "FRAME":
                    pass
                case "STOP":
                    (result,) = stack
                    return result
                case "MARK":
                    stack.append(_Mark())
                case "EMPTY_DICT":
                    stack.append({})
                case "EMPTY_LIST":
                    stack.append([])
                case "EMPTY_TUPLE":
                    stack.append(())
                case "NONE":
                    stack.append(None)
                case "NEWTRUE" | "NEWFALSE":
                    stack.append(instruction.name == "NEWTRUE")
                case value if value in _VALUES:
                    stack.append(argument)
                case "BINPUT" | "LONG_BINPUT":
                    memo[argument] = stack[-1]
                case "MEMOIZE":
                    memo[len(memo)] = stack[-1]
                case "BINGET" | "LONG_BINGET":
                    stack.append(memo[argument])
                case "TUPLE1" | "TUPLE2" | "TUPLE3":
                    stack.append(tuple(pop(int(instruction.name[-1]))))
                case "TUPLE":
                    stack.append(tuple(since_mark()))
                case "APPEND":
                    (item,) = pop(1)
                    _list(stack).append(item)
                case "APPENDS":
                    items = since_mark()
                    _list(stack).extend(items)
                case "SETITEM":
                    key, item = pop(2)
                    _dictionary(stack)[_key(key)] = item
                case "SETITEMS":
                    items = since_mark()
                    _dictionary(stack).update(zip(map(_key, items[::2]), items[1::2], strict=True))
                case "GLOBAL":
                    stack.append(_Name(*argument.split(" ", 1)))
                case "STACK_GLOBAL":
                    module, name = pop(2)
                    if not isinstance(module, str) or not isinstance(name, str):
                        raise NoTensors("its pickle names something that is no text")
                    stack.append(_Name(module, name))
                case "BINPERSID":
                    stack.append(storage(pop(1)[0]))
                case "REDUCE":
                    function, arguments = pop(2)
                    if not isinstance(function, _Name):
                        raise NoTensors("its pickle calls something without a name")
                    stack.append(build(function, arguments))
                case "BUILD":
                    # Versions of the layers, which a state's dictionary carries as an attribute.
                    pop(1)
                    _dictionary(stack)
                case other:
                    raise NoTensors(f"its pickle has the instruction {other}, which no tensor needs")
    except NoTensors:
        raise
    except (ValueError, TypeError, IndexError, KeyError, UnicodeDecodeError) as error:
        raise NoTensors(f"its pickle is broken ({error})") from error
    raise NoTensors("its pickle has no end")


def _list(stack: list[Any]) -> list[Any]:
    if not isinstance(stack[-1], list):
        raise NoTensors("its pickle is broken: an item outside a list")
    return stack[-1]


def _dictionary(stack: list[Any]) -> dict[Any, Any]:
    if not isinstance(stack[-1], dict):
        raise NoTensors("its pickle is broken: an item outside a dictionary")
    return stack[-1]


def _key(key: Any) -> str | int:
    # The hash of tuples in tuples, without end, would use up the stack and end the process.
    if not isinstance(key, str | int):
        raise NoTensors("a dictionary of its pickle has a key that is neither a text nor a number")
    return key


def read_array(content: bytes) -> Array:
    """Return the one tensor of a file. Raises NoTensors."""
    found = read_tensors(content)
    if isinstance(found, Mapping) and len(found) == 1:
        (found,) = found.values()
    if not isinstance(found, np.ndarray):
        raise NoTensors("it is not one tensor")
    return found
