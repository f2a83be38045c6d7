"""espeak-ng behind its process: what it says, and what it survives."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.espeak.client import EspeakClient, Pcm16, PhonemeEvent, WordEvent
from engines.espeak.native import _short_path, clean_text
from speech.errors import EngineFailed

CRASHING = ("`", "vi")
"""A text and a voice at which espeak-ng 1.52 ends by a segmentation fault."""


@pytest.fixture(scope="module")
def library() -> EspeakClient:
    """The process's library."""
    return EspeakClient.shared()


def spoken(library: EspeakClient, text: str, voice: str, rate: int = 175) -> tuple[Pcm16, list[WordEvent]]:
    """All samples and words of a text."""
    pieces: list[Pcm16] = [np.zeros(0, np.int16)]
    events: list[WordEvent] = []

    def on_audio(pcm: Pcm16, words: object, phonemes: object) -> None:
        pieces.append(pcm)
        events.extend(words)  # type: ignore[arg-type]

    assert library.synthesize(text, voice, on_audio, rate=rate)
    return np.concatenate(pieces), events


def test_it_is_the_version_the_facts_were_measured_with(library: EspeakClient) -> None:
    """The library is espeak-ng 1.52 at 22,050 Hz with well over a hundred voices."""
    assert library.version == "1.52.0"
    assert library.sample_rate == 22050
    assert len(library.voices) > 120
    assert all(library.has_voice(name) for name in ("es", "es-419", "en-us", "fr", "ar", "cmn"))
    assert not library.has_voice("xx")


@pytest.mark.parametrize(
    ("text", "voice", "tie", "ipa"),
    [
        ("¡Hola, amigo!", "es", None, "ˈola amˈiɣo"),
        ("church", "en-us", None, "tʃˈɜːtʃ"),
        ("church", "en-us", "^", "t^ʃˈɜːt^ʃ"),
        ("Uno. Dos. Tres.", "es", None, "ˈuno dˈos tɾˈes"),
        ("weekend", "es", None, "wˌeekˈɛnd"),
        ("", "es", None, ""),
        ("…", "es", None, ""),
    ],
)
def test_phonemes_are_those_of_all_the_text(
    library: EspeakClient, text: str, voice: str, tie: str | None, ipa: str
) -> None:
    """Every clause is phonemised, without marks of language, tied if asked for."""
    assert library.phonemize(text, voice, tie) == ipa


def test_words_come_with_their_characters_and_samples(library: EspeakClient) -> None:
    """A word event points at the word's first character (from 1) and at the sample it starts at."""
    audio, words = spoken(library, "Hola a todos", "es")
    assert [(word.position, word.length) for word in words] == [(1, 4), (6, 1), (8, 5)]
    assert [word.sample for word in words] == sorted(word.sample for word in words)
    assert words[-1].sample < len(audio)


def test_a_text_sounds_the_same_whatever_was_said_before(library: EspeakClient) -> None:
    """Speech does not depend on what was spoken, or phonemised, before it."""
    first, _ = spoken(library, "Tengo veintitrés años", "es")
    spoken(library, "Something else entirely", "en-us", rate=300)
    library.phonemize("Noch etwas", "de")
    again, _ = spoken(library, "Tengo veintitrés años", "es")
    assert np.array_equal(first, again)


def test_speech_does_not_depend_on_hundreds_of_texts_that_were_phonemised(library: EspeakClient) -> None:
    """The library's vowels are not cut to nothing after all that Kokoro asks it."""
    texts = {
        "es": "No había visto jamás un cielo tan limpio, tan quieto, tan inmenso.",
        "it": "Perché non mi hai detto che saresti arrivato così tardi?",
        "fr": "Le camion de déménagement ne passait pas dans la rue étroite.",
    }
    fresh = {voice: spoken(library, text, voice)[0] for voice, text in texts.items()}
    for _ in range(8):
        for voice, text in texts.items():
            for part in (text, *text.split(), text[: len(text) // 2]):
                library.phonemize(part, voice, "^")
            for again, words in texts.items():
                assert np.array_equal(spoken(library, words, again)[0], fresh[again])


def test_phonemes_come_with_the_word_they_belong_to(library: EspeakClient) -> None:
    """Each phoneme says which word event it belongs to, and where it starts; pauses are none."""
    begun: list[PhonemeEvent] = []
    words: list[WordEvent] = []

    def on_audio(pcm: Pcm16, some: Sequence[WordEvent], more: Sequence[PhonemeEvent]) -> None:
        words.extend(some)
        begun.extend(more)

    assert library.synthesize("Hola, a todos", "es", on_audio)
    of_words = [[phoneme.sample for phoneme in begun if phoneme.position == word.position] for word in words]
    assert [len(samples) for samples in of_words] == [3, 1, 5]
    assert [phoneme.sample for phoneme in begun] == sorted(phoneme.sample for phoneme in begun)
    assert all(samples[0] >= word.sample for samples, word in zip(of_words, words, strict=True))


def test_a_text_that_crashes_espeak_fails_alone(library: EspeakClient) -> None:
    """A crash of the C library is an error of that text, and the next text is spoken."""
    text, voice = CRASHING
    with pytest.raises(EngineFailed):
        spoken(library, text, voice)
    assert len(spoken(library, "Hola", "es")[0])
    with pytest.raises(EngineFailed):
        library.phonemize(text, voice)
    assert library.phonemize("Hola", "es") == "ˈola"


def test_it_starts_again_after_its_process_ended() -> None:
    """A process that was ended from outside is replaced at the next use."""
    library = EspeakClient()
    try:
        assert library._process is not None
        library._process.kill()
        library._process.wait()
        assert library.phonemize("Hola", "es") == "ˈola"
    finally:
        library.close()


def test_should_stop_ends_the_work(library: EspeakClient) -> None:
    """No audio comes once should_stop says so, and the next text is spoken whole."""
    pieces: list[Pcm16] = []
    complete = library.synthesize(
        "palabra " * 500, "es", lambda pcm, *_: pieces.append(pcm), should_stop=lambda: len(pieces) >= 2
    )
    assert not complete
    assert len(pieces) == 2
    whole, _ = spoken(library, "Hola", "es")
    assert np.array_equal(whole, spoken(library, "Hola", "es")[0])


def test_what_the_listener_raises_comes_through(library: EspeakClient) -> None:
    """An exception in on_audio ends the synthesis and is raised to the caller."""

    def refuse(pcm: Pcm16, *_: object) -> None:
        raise KeyError("listener")

    with pytest.raises(KeyError, match="listener"):
        library.synthesize("Hola", "es", refuse)
    assert len(spoken(library, "Hola", "es")[0])


def test_an_unknown_voice_is_refused(library: EspeakClient) -> None:
    """A name that is no voice never reaches the C library."""
    with pytest.raises(ValueError, match="nobody"):
        library.phonemize("Hola", "nobody")
    with pytest.raises(ValueError, match="nobody"):
        spoken(library, "Hola", "nobody")


def test_many_threads_may_use_it_at_once(library: EspeakClient) -> None:
    """Calls from several threads at once give what they give alone."""
    texts = [f"Hola número {n}" for n in range(12)]
    alone = [spoken(library, text, "es")[0] for text in texts]
    together = threading.Barrier(4)

    def speak(text: str) -> tuple[Pcm16, str]:
        together.wait()
        return spoken(library, text, "es")[0], library.phonemize(text, "es")

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(speak, texts))
    assert all(np.array_equal(audio, expected) for (audio, _), expected in zip(found, alone, strict=True))
    assert all(ipa.startswith("ˈola nˈumeɾo") for _, ipa in found)


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=80), st.sampled_from(["es", "en-us", "fr", "de", "ar", "cmn", "ja", "hi"]))
def test_no_text_does_harm(text: str, voice: str) -> None:
    """Any text, lone surrogates and NUL too, is phonemised and spoken."""
    library = EspeakClient.shared()
    assert isinstance(library.phonemize(text, voice), str)
    _, words = spoken(library, text, voice)
    assert all(word.position >= 1 for word in words)


@given(st.text())
def test_cleaning_keeps_every_position(text: str) -> None:
    """What C must not see becomes a space, so that all else stays where it was."""
    clean = clean_text(text)
    assert len(clean) == len(text)
    assert all(new in (old, " ") for old, new in zip(text, clean, strict=True))
    clean.encode()
    assert "\0" not in clean


def test_cleaning_takes_out_what_is_not_text() -> None:
    """NUL, control characters, lone surrogates and unassigned code points go; RTL marks stay."""
    assert clean_text("a\0b\x1bc\ud800d\U0010ffffe\u200ff") == "a b c d e\u200ff"


def test_a_long_path_to_the_data_is_shortened(tmp_path: Path) -> None:
    """espeak-ng refuses a data path of 160 bytes; it gets a link to it instead."""
    deep = tmp_path / ("a" * 100) / ("b" * 100)
    deep.mkdir(parents=True)
    (deep / "phontab").touch()
    short, folder = _short_path(deep)
    assert folder is not None
    with folder:
        assert len(os.fsencode(short)) < 160
        assert (short / "phontab").exists()
    here = Path("data")
    assert _short_path(here) == (here, None)
