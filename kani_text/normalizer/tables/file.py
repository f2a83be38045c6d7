"""A table as a file: sections of keys that are read one by one; each error names its line."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast, get_args, get_origin, get_type_hints

from kani_text.normalizer.tables.lazy_pattern import LazyPattern

T = TypeVar("T")


class TableError(ValueError):
    """A table that cannot be read: its message names the file, the line and the reason."""


Forms = Mapping[str, str]
"""Names of a counted thing by plural category (CLDR's: zero, one, two, few, many, other)."""

PLURAL_CATEGORIES = frozenset({"zero", "one", "two", "few", "many", "other"})


_PART = re.compile(r"\{([a-z]+)\}")
_BRACES = re.compile(r"\{([^{}]*)\}|[{}]")


class TableSection:
    """One section of a table; every key has to be read before ``check_all_read``."""

    def __init__(self, path: Path, source: str, name: str, values: Mapping[str, object]) -> None:
        self._path = path
        self._source = source
        self._name = name
        self._values = dict(values)

    def fill(self, kind: type[T], **made: Any) -> T:
        """The dataclass ``kind``: each field from the key of its name, but for what is ``made`` already.

        The field's type says what has to be there: a text, or with the names of an annotation a template; a
        number; words; a section of texts, of words, of forms, or for another dataclass. The field ``names``
        has the lines that no other has. What has a default may be missing, and so may words and sections.
        Raises TableError, for keys without a field too.
        """
        forms = get_type_hints(kind, include_extras=True)
        for field in fields(kind):  # type: ignore[arg-type]
            if field.name not in made:
                default = None if field.default is MISSING else field.default
                made[field.name] = self._value(field.name, forms[field.name], default)
        self.check_all_read()
        return kind(**made)

    def _value(self, key: str, form: Any, default: Any) -> Any:
        if get_origin(form) is Annotated:
            return self.template(key, *get_args(form)[1:], default=default)
        if form is str:
            return self.text(key, default)
        if form is int:
            return self.number(key, default)
        if form is bool:
            return self.flag(key)
        if is_dataclass(form):
            return self.section(key).fill(cast(type, form))
        if get_origin(form) is Mapping:
            return (self if key == "names" else self.section(key))._lines(*get_args(form))
        if form == Forms | None:
            return self.forms(key) if key in self._values else None
        return get_origin(form)(self.words(key))

    def _lines(self, keys: type, said: Any) -> dict[Any, Any]:
        """The lines that were not read yet: texts, forms or words, by text or by whole number."""
        for name in self.key_names() if keys is int else ():
            if not name.isdecimal():
                raise self.error(name, "has to be a whole number, or is unknown")
        read: Any = {str: self.text, Forms: self.forms}.get(said, lambda name: frozenset(self.words(name)))
        return {keys(name): read(name) for name in self.key_names()}

    def key_names(self) -> tuple[str, ...]:
        """The keys that were not read yet."""
        return tuple(self._values)

    def text(self, key: str, default: str | None = None) -> str:
        """A text; ``default`` where the key may be missing."""
        value = self.take(key, default)
        if not isinstance(value, str):
            raise self.error(key, 'has to be a text in quotes ("…")')
        return value

    def template(self, key: str, *names: str, default: str | None = None) -> str:
        """A text that may have ``names`` in braces; other names, or a single brace, are errors."""
        text = self.text(key, default)
        allowed = ", ".join(f"{{{name}}}" for name in names)
        for found in _BRACES.finditer(text):
            if found[1] not in names:
                raise self.error(key, f"has {found[0]}, which is none of {allowed}")
        return text

    def number(self, key: str, default: int) -> int:
        """A whole number from 0 to 99."""
        value = self.take(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 99:
            raise self.error(key, "has to be a whole number from 0 to 99")
        return value

    def flag(self, key: str) -> bool:
        """True if the key is there and true."""
        value = self.take(key, False)
        if not isinstance(value, bool):
            raise self.error(key, "has to be true or false")
        return value

    def words(self, key: str) -> tuple[str, ...]:
        """The words of a text, none where the key is missing."""
        return tuple(self.text(key, "").split())

    def all_texts(self, *names: str) -> dict[str, str]:
        """The lines that were not read yet, all of them texts; with ``names``, templates."""
        return {key: self.template(key, *names) if names else self.text(key) for key in self.key_names()}

    def patterns(self, parts: Sequence[Mapping[str, str]] = ({},)) -> tuple[tuple[LazyPattern, str], ...]:
        """The lines, all of them: patterns, and what is written instead of what they match.

        parts: what names in braces stand for; each line is there once for each of them.
        """
        return tuple(
            (self.pattern(written, named), _PART.sub(lambda part: named.get(part[1], part[0]), becomes))  # noqa: B023
            for written, becomes in self.all_texts().items()
            for named in parts
        )

    def pattern(self, key: str, parts: Mapping[str, str]) -> LazyPattern:
        """The pattern that a key is, with what names in braces stand for."""
        try:
            return LazyPattern(_PART.sub(lambda part: parts[part[1]], key))
        except KeyError as error:
            raise self.error(key, f"has an unknown part: {error}") from None
        except re.error as error:
            raise self.error(key, f"is no pattern: {error}") from None

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, empty where the key is missing."""
        value = self.take(key, [])
        if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
            raise self.error(key, 'has to be a list of texts (["…", "…"])')
        return tuple(cast(list[str], value))

    def forms(self, key: str, value: object = None) -> Forms:
        """Forms: a text for all numbers, two for one and for others, or a text for each plural category.

        value: what was taken for the key already.
        """
        value = self.take(key) if value is None else value
        if isinstance(value, str):
            return {"other": value}
        if isinstance(value, list) and len(value) == 2 and all(isinstance(part, str) for part in value):
            return {"one": value[0], "other": value[1]}
        if isinstance(value, dict) and "other" in value and _are_texts(value, PLURAL_CATEGORIES):
            return cast(Forms, value)
        known = ", ".join(sorted(PLURAL_CATEGORIES))
        raise self.error(key, f"has to be a text, two of them ([one, other]) or one by category ({known})")

    def conditions(self, key: str, known: frozenset[str]) -> Mapping[str, str]:
        """A text, which is for "other", or a text for each of some ``known`` conditions."""
        value = self.take(key)
        if isinstance(value, str):
            return {"other": value}
        if isinstance(value, dict) and value and _are_texts(value, known):
            return cast(Mapping[str, str], value)
        raise self.error(key, f"has to be a text, or one for each of some of: {', '.join(sorted(known))}")

    def section(self, key: str) -> "TableSection":
        """A section inside this one; an empty one where it is missing."""
        value = self._values.pop(key, {})
        name = f"{self._name}.{key}" if self._name else key
        if not isinstance(value, dict):
            raise self.error(key, "has to be a section of its own")
        return TableSection(self._path, self._source, name, value)

    def check_all_read(self) -> None:
        """Raise TableError for a key that was not read."""
        for key in self._values:
            raise self.error(key, "is not known here")

    def error(self, key: str, what: str) -> TableError:
        """The error for the line of ``key``."""
        where = f"{self._path.name}, line {self._line(key)}"
        section = f" in [{self._name}]" if self._name else ""
        return TableError(f"{where}: {key!r}{section} {what}")

    def take(self, key: str, default: object = None) -> object:
        """The value of ``key``, which counts as read; ``default`` where it may be missing."""
        if key not in self._values and default is not None:
            return default
        if key not in self._values:
            raise self.error(key, "is missing")
        return self._values.pop(key)

    def _line(self, key: str) -> int:
        """Line number of a key, else of its section, else 1."""
        section = ""
        found = 1
        outer, _, inner = self._name.rpartition(".")
        for number, line in enumerate(self._source.splitlines(), 1):
            plain = line.strip()
            if plain.startswith("["):
                section = plain.strip("[] ")
                if section in (self._name, f"{self._name}.{key}".strip(".")):
                    found = number
            elif section in (self._name, outer):
                # "inner.key" in the section around it
                dotted = "" if section == self._name else rf"{re.escape(inner)}\."
                if re.match(rf"""{dotted}(["']?){re.escape(key)}\1\s*=""", plain):
                    return number
        return found


def _are_texts(values: dict[object, object], known: frozenset[str]) -> bool:
    """True if all keys are ``known`` and all values texts."""
    return known.issuperset(values) and all(isinstance(value, str) for value in values.values())


def read_table_file(path: Path, region: str = "") -> TableSection:
    """The whole of a table as one section; ``[regions.XX]`` overrides the general keys.

    Raises TableError.
    """
    source = path.read_text(encoding="utf-8")
    try:
        values = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise TableError(f"{path.name}: {error}") from None
    regions = values.pop("regions", {})
    for changed, lines in regions.get(region, {}).items():
        values[changed] = {**values.get(changed, {}), **lines}
    return TableSection(path, source, "", values)
