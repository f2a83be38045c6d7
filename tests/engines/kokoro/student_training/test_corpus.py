"""Sentences are found in the kinds of files that texts come in."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from kani.engines.kokoro.student_training import corpus


def _learned(file: Path) -> set[str]:
    return {text for text in corpus.sentences([file], "es") if text not in corpus.sentences([], "es")}


def test_fortunes_lose_their_author(tmp_path: Path) -> None:
    file = tmp_path / "amistad.fortunes"
    file.write_text(
        "El amigo ha de ser como el dinero. Antes de\nnecesitarlo, se sabe el valor que tiene.\n"
        "\t\t-- Sócrates. (470 AC) Filósofo griego.\n%\nNo.\n%\n"
        "The best friend is the one who stays at home.\n"
    )
    assert _learned(file) == {
        "El amigo ha de ser como el dinero.",
        "Antes de necesitarlo, se sabe el valor que tiene.",
    }


def test_pages_give_their_prose_without_code(tmp_path: Path) -> None:
    file = tmp_path / "manual.html.gz"
    file.write_bytes(
        gzip.compress(
            "<title>x</title><p>La casa está cerca del río grande.</p><pre>ls -l /tmp</pre>"
            "<p>Para verlo, escriba <code>ls</code> en la consola de su casa.</p>".encode()
        )
    )
    assert _learned(file) == {"La casa está cerca del río grande."}


def test_manual_pages_give_their_paragraphs(tmp_path: Path) -> None:
    file = tmp_path / "ls.1"
    file.write_text(
        ".TH LS 1\n.PP\nPor defecto, muestra la información\n"
        "\\fBde los archivos\\fP del directorio.\n.TP\n\\-a\n"
    )
    assert _learned(file) == {"Por defecto, muestra la información de los archivos del directorio."}


@pytest.mark.parametrize("order", ["<", ">"])
def test_compiled_translations_give_their_sentences(tmp_path: Path, order: str) -> None:
    """The header, a plural and a dialogue, as msgfmt writes them."""
    texts = {
        "": "Content-Type: text/plain; charset=UTF-8\n",
        "One.\0Many.": "Ha venido una persona.\0Han venido muchas personas.",
        "Hurry!": "¡Date prisa, la puerta se cierra! Mi hermano nos espera en el puente.",
    }
    parts = [part.encode() + b"\0" for pair in texts.items() for part in pair]
    begins = np.cumsum([28 + 16 * len(texts), *map(len, parts)])
    entries = [(len(part) - 1, begin) for part, begin in zip(parts, begins, strict=False)]
    tables = [number for table in (entries[::2], entries[1::2]) for entry in table for number in entry]
    head = (0x950412DE, 0, len(texts), 28, 28 + 8 * len(texts), 0, 0)
    file = tmp_path / "game.mo"
    file.write_bytes(struct.pack(f"{order}{len(head) + len(tables)}I", *head, *tables) + b"".join(parts))
    assert _learned(file) == {
        "Ha venido una persona.",
        "Han venido muchas personas.",
        "¡Date prisa, la puerta se cierra!",
        "Mi hermano nos espera en el puente.",
    }


def test_a_fiftieth_is_held_out_and_stays_so() -> None:
    texts = corpus.sentences([], "es")
    share = sum(map(corpus.held_out, texts)) / len(texts)
    assert 0.005 < share < 0.05
    assert texts == corpus.sentences([], "es")


def test_missing_pairs_of_symbols() -> None:
    assert corpus.missing_pairs(["ola", "sol"], ["sola", "los", "los"]) == {"lo": 2, "os": 2}
