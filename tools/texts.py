"""Reads files of sentences: ``[language]``, then a sentence a line; "#" begins a comment."""

from __future__ import annotations

from pathlib import Path


def by_language(file: Path) -> dict[str, tuple[str, ...]]:
    """Return the sentences of a file, in its order, by language (BCP 47)."""
    found: dict[str, list[str]] = {}
    language = ""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            language = line.strip("[]")
        elif line and not line.startswith("#"):
            found.setdefault(language, []).append(line)
    return {language: tuple(texts) for language, texts in found.items()}
