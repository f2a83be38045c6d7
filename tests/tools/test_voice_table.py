"""The table of Kokoro's voices in docs/languages.md."""

from kani.core.types import Voice
from kani.engines.kokoro.voices import Voices
from tools.kokoro_data.table import PAGE, TABLE, table, word


def test_page_has_the_voices_as_they_are() -> None:
    """`python -m tools.kokoro_data.table` writes them."""
    (written,) = TABLE.findall(PAGE.read_text(encoding="utf-8"))
    assert written == table()
    assert all(written.count(f"`{voice.id}`") == 1 for voice in Voices().all)


def test_word_is_of_the_measure_that_sets_a_voice_apart() -> None:
    def voice(name: str, pitch_hz: float, pace: float, language: str = "es") -> Voice:
        return Voice(name, name, language, "kokoro", gender="female", pitch_hz=pitch_hz, pace=pace)

    three = [voice("a", 200, 1.0), voice("b", 201, 1.2), voice("c", 220, 1.1)]
    assert [word(one, three) for one in three] == ["deep", "quick", "high"]
    # Alone in its language it stands beside all of its sex.
    french = voice("d", 100, 1.0, "fr")
    assert word(french, [*three, french]) == "deep"
