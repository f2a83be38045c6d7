"""What is said of what was written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speech.normalizer import normalize, speakable


@given(st.text(alphabet=st.characters(codec=None)), st.integers(0, 50))
def test_every_spoken_character_has_an_origin(written: str, offset: int) -> None:
    """Origins lie inside the text, in order; what is said holds nothing an engine could choke on."""
    spoken = normalize(written, offset)
    assert len(spoken.text) == len(spoken.starts) == len(spoken.ends)
    assert list(spoken.starts) == sorted(spoken.starts) and list(spoken.ends) == sorted(spoken.ends)
    for start, end in zip(spoken.starts, spoken.ends, strict=True):
        assert offset <= start < end <= offset + len(written)
    assert spoken.text.isprintable() and spoken.text == spoken.text.strip() and "  " not in spoken.text
    spoken.text.encode()


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Hola,\n  mundo", "Hola, mundo"),
        ("cafe\u0301 e\u0301l", "café él"),
        ("a\u200fb\u200dc\x00d\ud83d", "abcd"),
        ("¡Bien! 🎉👍🏽 Sí", "¡Bien! Sí"),
        ("21 °C y 5 %", "21 °C y 5 %"),
        ("مَرْحَبًا", "مَرْحَبًا"),
        ("1️⃣ uno", "1 uno"),
    ],
)
def test_what_is_left_out(written: str, said: str) -> None:
    """Invisible characters, emoji and broken code units are left out, marks are composed."""
    assert normalize(written).text == said


def test_origins_of_composed_and_dropped_characters() -> None:
    """A composed letter stands for its base and its marks; what was dropped stands between."""
    spoken = normalize("e\u0301🎉 x", offset=10)
    assert spoken.text == "é x"
    assert spoken.origin(0, 1) == (10, 12)
    assert spoken.origin(2, 3) == (14, 15)


@pytest.mark.parametrize("text", ["…", "🎉", "¿?", " \n", "—", "\u200f", ""])
def test_nothing_to_say(text: str) -> None:
    """Punctuation and emoji alone are nothing to say."""
    assert not speakable(normalize(text).text)


@pytest.mark.parametrize("text", ["a", "5", "%", "€", "ж", "你", "नमस्ते"])
def test_something_to_say(text: str) -> None:
    """Letters, digits and signs are."""
    assert speakable(normalize(text).text)
