"""Passages in another script, told from the text around them however it comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kani.text.foreign_passages import MAX_DETECTION_TEXT, LanguageRun, ScriptSplitter

KNOWN = frozenset("ar de el en es fr he it ja ko pt ru uk zh".split())


def parts_of(*pieces: str, language: str = "es") -> list[tuple[str, str | None]]:
    """Passages of a text that comes in pieces, neighbours of one language joined."""
    passages = ScriptSplitter(language, KNOWN)
    found: list[LanguageRun] = []
    for piece in pieces:
        found += passages.feed(piece)
    found += passages.flush()
    joined: list[tuple[str, str | None]] = []
    for part in found:
        if joined and joined[-1][1] == part.language:
            joined[-1] = (joined[-1][0] + part.text, part.language)
        else:
            joined.append((part.text, part.language))
    return joined


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Texto normal, ¿no?", [("Texto normal, ¿no?", None)]),
        ("Dijo «добрый день» y se fue.", [("Dijo ", None), ("«добрый день»", "ru"), (" y se fue.", None)]),
        ("Привіт, як справи? Yo, bien.", [("Привіт, як справи?", "uk"), (" Yo, bien.", None)]),
        ("Es 你好世界。Y ya", [("Es ", None), ("你好世界。", "zh"), ("Y ya", None)]),
        ("日本語のテキスト en japonés", [("日本語のテキスト", "ja"), (" en japonés", None)]),
        ("Se dice (שלום עולם) allí", [("Se dice ", None), ("(שלום עולם)", "he"), (" allí", None)]),
        ("مرحبا", [("مرحبا", "ar")]),
        ("Di مَرحبا ya", [("Di ", None), ("مَرحبا", "ar"), (" ya", None)]),
        (
            "Dice: привет, 你好, καλημέρα y adiós.",
            [
                *(("Dice: ", None), ("привет,", "ru"), (" ", None), ("你好,", "zh"), (" ", None)),
                *(("καλημέρα", "el"), (" y adiós.", None)),
            ],
        ),
        # A single letter is a sign of the text's own language.
        ("π, Ω y α", [("π, Ω y α", None)]),
        ("5 µm", [("5 µm", None)]),
        # Nobody speaks Georgian here.
        ("Dijo გამარჯობა", [("Dijo გამარჯობა", None)]),
        ("Dijo «", [("Dijo «", None)]),
        ("", []),
    ],
)
def test_script_separates_passages(text: str, parts: list[tuple[str, str | None]]) -> None:
    assert parts_of(text) == parts
    assert parts_of(*text) == parts


def test_latin_words_in_arabic_are_no_passage() -> None:
    assert parts_of("مرحبا بالعالم Hello عالم", language="ar") == [("مرحبا بالعالم Hello عالم", None)]
    found = parts_of("مرحبا Привет мир عالم", language="ar")
    assert found == [("مرحبا ", None), ("Привет мир", "ru"), (" عالم", None)]


def test_plain_text_passes_at_once() -> None:
    passages = ScriptSplitter("es", KNOWN)
    assert passages.feed("Hola, ") == [LanguageRun("Hola, ", None)]
    assert passages.feed("¿qué tal? ") == [LanguageRun("¿qué tal? ", None)]


def test_text_behind_a_passage_is_not_held_back_for_long() -> None:
    passages = ScriptSplitter("es", KNOWN)
    given_out = "".join(part.text for piece in ["Привет "] + ["1 "] * 500 for part in passages.feed(piece))
    assert len(given_out) > 1000 - 2 * MAX_DETECTION_TEXT


@given(st.text("aé «»(.,π1 добрый你好מ\u0301\u200f", max_size=120), st.lists(st.integers(1, 7), max_size=40))
def test_pieces_do_not_change_the_runs(text: str, lengths: list[int]) -> None:
    pieces, at = [], 0
    for length in lengths:
        pieces.append(text[at : at + length])
        at += length
    pieces.append(text[at:])
    parts = parts_of(*pieces)
    assert "".join(part for part, _ in parts) == text
    if len(text) < MAX_DETECTION_TEXT:
        assert parts == parts_of(text)
