"""espeak-ng in its process: what it says, and what it survives."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kani.core.errors import EngineFailed
from kani.engines.espeak.client import EspeakClient, Pcm16
from kani.engines.espeak.native import _short_path, clean_text
from tests.support.espeak_audio import audio, ipa_of, synthesized
from tests.support.patience import WITHIN_S


@pytest.fixture(scope="module")
def client() -> EspeakClient:
    return EspeakClient.shared()


def test_version_was_measured_and_controls_are_replaced(client: EspeakClient) -> None:
    assert client.version == "1.52.0"
    assert client.sample_rate == 22050
    assert len(client.voices) > 120
    assert all(client.has_voice(name) for name in ("es", "es-419", "en-us", "fr", "ar", "cmn"))
    assert not client.has_voice("xx")
    # Right-to-left marks stay.
    assert clean_text("a\0b\x1bc\ud800d\U0010ffffe\u200ff") == "a b c d e\u200ff"


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
def test_clauses_have_ipa(client: EspeakClient, text: str, voice: str, tie: str | None, ipa: str) -> None:
    """Without marks of language, tied if asked for."""
    assert ipa_of(client, text, voice, tie) == ipa


def test_many_texts_are_phonemised_as_one_by_one(client: EspeakClient) -> None:
    """A word of another language, a number, marks or nothing before a text do not change it."""
    texts = ["weekend", "25", "…", "", "de los árboles", "¡Hola!", "weekend", "x" * 40]
    for voice in ("es", "en-us", "fr"):
        alone = [ipa_of(client, text, voice, "^") for text in texts]
        assert client.phonemize_all(texts, voice, "^") == alone
        assert client.phonemize_all(texts[::-1], voice, "^") == alone[::-1]


def test_phonemes_do_not_wait_for_sentence_being_spoken() -> None:
    """A listener that holds up the speech does not hold up the other process."""
    spoken: list[str] = []

    def hold_up(*_: object) -> None:
        with ThreadPoolExecutor(1) as pool:
            work = pool.submit(ipa_of, EspeakClient.shared("phonemes"), "Hola", "es")
            spoken.append(work.result(WITHIN_S))

    assert EspeakClient.shared().synthesize("Hola, a todos", "es", hold_up)
    assert spoken and set(spoken) == {"ˈola"}
    assert EspeakClient.shared("phonemes") is EspeakClient.shared("phonemes")


def test_events_hold_characters_and_samples(client: EspeakClient) -> None:
    """Each phoneme belongs to a word event, and begins with it or later."""
    pcm, words, phonemes = synthesized(client, "Hola, a todos")
    assert [(word.position, word.length) for word in words] == [(1, 4), (7, 1), (9, 5)]
    assert words[-1].sample < len(pcm)
    for events in (words, phonemes):
        assert [event.sample for event in events] == sorted(event.sample for event in events)
    by_word = [[event.sample for event in phonemes if event.position == word.position] for word in words]
    assert [len(samples) for samples in by_word] == [3, 1, 5]
    assert all(samples[0] >= word.sample for samples, word in zip(by_word, words, strict=True))


def test_speech_does_not_depend_on_texts_before(client: EspeakClient) -> None:
    """The library's vowels are not cut to nothing after hundreds of texts that were phonemised."""
    texts = {
        "es": "No había visto jamás un cielo tan limpio, tan quieto, tan inmenso.",
        "it": "Perché non mi hai detto che saresti arrivato così tardi?",
        "fr": "Le camion de déménagement ne passait pas dans la rue étroite.",
    }
    fresh = {voice: audio(client, text, voice) for voice, text in texts.items()}
    audio(client, "Something else entirely", "en-us", rate=300)
    for _ in range(8):
        for voice, text in texts.items():
            for part in (text, *text.split(), text[: len(text) // 2]):
                ipa_of(client, part, voice, "^")
            for other, words in texts.items():
                assert np.array_equal(audio(client, words, other), fresh[other])


def test_text_that_crashes_espeak_fails_alone(client: EspeakClient) -> None:
    """A process that has ended is replaced."""
    text, voice = "`", "vi"  # espeak-ng 1.52 ends by a segmentation fault
    for use in (audio, ipa_of):
        with pytest.raises(EngineFailed):
            use(client, text, voice)
        assert len(audio(client, "Hola"))
        assert ipa_of(client, "Hola", "es") == "ˈola"
    with pytest.raises(EngineFailed):
        client.phonemize_all(["xin", text, "xin"], voice)
    assert client.phonemize_all(["Hola"], "es") == ["ˈola"]


def test_faults_of_a_caller_cost_no_other_text(client: EspeakClient) -> None:
    for use in (partial(ipa_of, client), partial(audio, client)):
        with pytest.raises(ValueError, match="nobody"):
            use("Hola", "nobody")

    def refuse(pcm: Pcm16, *_: object) -> None:
        raise KeyError("listener")

    with pytest.raises(KeyError, match="listener"):
        client.synthesize("Hola", "es", refuse)
    assert len(audio(client, "Hola"))
    pieces: list[Pcm16] = []
    long, enough = "palabra " * 500, lambda: len(pieces) >= 2
    assert not client.synthesize(long, "es", lambda pcm, *_: pieces.append(pcm), should_stop=enough)
    assert len(pieces) == 2
    assert np.array_equal(audio(client, "Hola"), audio(client, "Hola"))


def test_threads_may_use_it_concurrently(client: EspeakClient) -> None:
    texts = [f"Hola número {n}" for n in range(12)]
    alone = [audio(client, text) for text in texts]
    together = threading.Barrier(4)

    def speak(text: str) -> tuple[Pcm16, str]:
        together.wait()
        return audio(client, text), ipa_of(client, text, "es")

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(speak, texts))
    assert all(np.array_equal(pcm, expected) for (pcm, _), expected in zip(found, alone, strict=True))
    assert all(ipa.startswith("ˈola nˈumeɾo") for _, ipa in found)


@given(st.text(max_size=80), st.sampled_from(["es", "en-us", "fr", "de", "ar", "cmn", "ja", "hi"]))
def test_any_text_is_phonemised_and_spoken(text: str, voice: str) -> None:
    """Lone surrogates and NUL too."""
    client = EspeakClient.shared()
    assert isinstance(ipa_of(client, text, voice), str)
    assert all(word.position >= 1 for word in synthesized(client, text, voice)[1])


@given(st.text())
def test_cleaning_keeps_every_position(text: str) -> None:
    clean = clean_text(text)
    assert len(clean) == len(text)
    assert all(new in (old, " ") for old, new in zip(text, clean, strict=True))
    clean.encode()
    assert "\0" not in clean


def test_long_data_path_is_replaced_by_a_link(tmp_path: Path) -> None:
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
