"""``kani.core.turns.second_hearing``: long turns and those with pauses are recognised once more."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from kani.core.errors import EngineFailed
from kani.core.recognizer import RecognizedWord, Step
from kani.core.transcriber import TranscribedSegment, TranscribedWord, TranscriptionOptions
from kani.core.turns.second_hearing import DICTATED_WAIT_S, LONGEST_WAIT_S, HeardTurn, Hearing, SecondHearing
from kani.core.turns.unfinished_words import DICTATION
from kani.core.types import Samples

RATE, CHUNK_S = 16_000, 0.032
SPEECH, SILENCE = 0.9, 0.1


@dataclass
class Transcriber:
    """Returns a text; keeps what it was asked."""

    text: str = " the whole"
    fails: Exception | None = None
    words: tuple[TranscribedWord, ...] = ()
    lasts: bool = False
    asked: list[tuple[float, TranscriptionOptions]] = field(default_factory=list)

    async def transcribe(
        self, audio: AsyncIterator[Samples], options: TranscriptionOptions
    ) -> AsyncGenerator[TranscribedSegment, None]:
        seconds = sum([len(piece) / RATE async for piece in audio])
        self.asked.append((seconds, options))
        if self.lasts:
            await asyncio.Event().wait()
        if self.fails:
            raise self.fails
        if self.text:
            yield TranscribedSegment(self.text, 0, 1, self.words, (), 0, 0, 0, 1, 0, "es", 1)


LANGUAGES = frozenset({"es", "fr"})
"""Those of the session, where no live word tells."""


def hearing(transcriber: Transcriber, prompt: str = "") -> SecondHearing:
    return SecondHearing(transcriber, RATE, None, prompt, (), LANGUAGES)


def hear(again: SecondHearing, *parts: tuple[float, float], guess: float | None = 0.9) -> None:
    """Feed stretches of a probability of voice, each with its seconds."""
    for voice, seconds in parts:
        chunks = round(seconds / CHUNK_S)
        again.add_audio(np.zeros(round(chunks * CHUNK_S * RATE), np.float32))
        for _ in range(chunks):
            again.feed(Step(0, (0.0, 0.0, 0.0, 0.0), (voice,)), guess)


def ended(again: SecondHearing, at_s: float = 3.2) -> Hearing:
    work = again.end(at_s)
    assert work is not None
    return work


ASKED = DICTATION["es"] + " Ana"
FAILURES = EngineFailed("broken"), RuntimeError("a mistake")
IN_PARTS = (SPEECH, 1.0), (SILENCE, 0.8), (SPEECH, 1.0)


@pytest.mark.parametrize(
    ("before", "after", "heard"),
    [
        (IN_PARTS, (SILENCE, 0.4), True),
        (((SPEECH, 1.4),), (SILENCE, 0.4), False),  # the live words are of the whole
        (((SPEECH, 0.6), (SILENCE, 0.1), (SPEECH, 0.6)), (SILENCE, 0.4), False),
        (((SPEECH, 2.0),), (SILENCE, 0.4), True),
        (((SPEECH, 1.2), (SILENCE, 0.1), (SPEECH, 0.6)), (SILENCE, 0.4), True),  # long, whatever is between
        ((*IN_PARTS, (SPEECH, 30.0)), (SILENCE, 0.4), False),  # too long
        ((*IN_PARTS, (SILENCE, 6.0), (SPEECH, 1.0)), (SILENCE, 0.4), False),  # its beginning is forgotten
        (IN_PARTS, (SPEECH, 0.2), True),  # it is ended within speech
    ],
)
async def test_turn_with_a_pause_or_long_one_is_heard_once_more(
    before: tuple[tuple[float, float], ...], after: tuple[float, float], heard: bool
) -> None:
    again = hearing(transcriber := Transcriber())
    hear(again, *before, after)
    work = again.end(sum(seconds for _, seconds in (*before, after)))
    assert (work is not None) is heard
    if work is not None:
        assert await work.in_time() == HeardTurn("the whole", "es")
        assert transcriber.asked[-1][1].waited_for
    await again.aclose()


async def test_it_begins_where_the_end_is_suspected_and_is_dropped_where_speech_goes_on() -> None:
    again = hearing(transcriber := Transcriber(lasts=True))
    hear(again, *IN_PARTS, (SILENCE, 0.2))
    assert again.so_far is None
    hear(again, (SILENCE, 0.2), guess=0.3)
    assert again.so_far is None
    hear(again, (SILENCE, 0.1))
    first = again.so_far
    assert first is not None
    assert first.so_far("live", "es") == ("live", "es")
    # So long a silence is an end, whatever it sounds like.
    hear(again, (SPEECH, 0.5), (SILENCE, 0.7), guess=0.3)
    assert again.so_far not in (None, first)
    await asyncio.sleep(0)
    assert first.so_far("live", "es") == ("live", "es")
    assert [round(seconds, 1) for seconds, _ in transcriber.asked] == [4.4]
    await again.aclose()


@pytest.mark.parametrize(("voice", "worded"), [(0.4, False), (0.15, True)])
async def test_a_quiet_voice_after_a_pause_is_of_the_turn(voice: float, worded: bool) -> None:
    again = hearing(transcriber := Transcriber())
    hear(again, *IN_PARTS, (SILENCE, 0.7))
    before = again.so_far
    assert before is not None
    hear(again, (voice, 1.0))
    assert (again.so_far is None) is not worded
    if worded:
        again.add_word(RecognizedWord("quiet", 3.8, 4.2, "es"))
    hear(again, (SILENCE, 0.2))
    work = ended(again, 4.7)
    assert work is not before and await work.in_time() == HeardTurn("the whole", "es")
    assert round(transcriber.asked[-1][0], 1) == 4.7
    await again.aclose()


async def test_the_wait_counts_from_the_end_of_the_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kani.core.turns.second_hearing.LONGEST_WAIT_S", 3600.0)
    again = hearing(Transcriber(lasts=True))
    hear(again, *IN_PARTS, (SILENCE, 0.4))
    work = ended(again)
    clock = (loop := asyncio.get_running_loop()).time
    monkeypatch.setattr(loop, "time", lambda: clock() + 3600.0)
    assert await work.in_time() is None
    await again.aclose()


async def test_between_turns_nothing_is_heard() -> None:
    again = hearing(transcriber := Transcriber())
    again.end(0.0)
    hear(again, *IN_PARTS, (SILENCE, 0.8))
    again.begin(3.5)
    hear(again, *IN_PARTS, (SILENCE, 0.8))
    await ended(again, 7.2).in_time()
    assert [round(seconds, 1) for seconds, _ in transcriber.asked] == [3.4]
    await again.aclose()


@pytest.mark.parametrize(
    "how", [{"text": ""}, {"lasts": True}, *({"fails": failure} for failure in FAILURES)]
)
async def test_live_words_stay_where_nothing_is_heard_in_time(
    how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kani.core.turns.second_hearing.LONGEST_WAIT_S", 0.01)
    again = hearing(Transcriber(**how))
    hear(again, *IN_PARTS, (SILENCE, 0.4))
    assert await ended(again).in_time() is None
    await again.aclose()


@pytest.mark.parametrize(
    ("words", "prompt", "longest_s"),
    [
        ((("Mi", "es"), ("apellido", "es")), ASKED, DICTATED_WAIT_S),
        ((("My", "en"), ("name", "en")), "Ana", DICTATED_WAIT_S),
        ((("612", "es"),), ASKED, DICTATED_WAIT_S),
        ((("6", "es"), ("12", "es")), ASKED, DICTATED_WAIT_S),
        ((("12", "es"), ("minutos", "es")), "Ana", LONGEST_WAIT_S),
        ((("ana.ruisarroba.correo.es", "es"),), ASKED, DICTATED_WAIT_S),
        ((("Ace,", "es"), ("E,", "es"), ("L,", "es"), ("e.", "es")), ASKED, DICTATED_WAIT_S),
        ((("P-H-O.", "en"),), "Ana", DICTATED_WAIT_S),
        ((("S’écrit", "fr"),), DICTATION["fr"] + " Ana", DICTATED_WAIT_S),
        ((("M", "it"), ("come", "it"), ("Milano", "it")), DICTATION["it"] + " Ana", DICTATED_WAIT_S),
        ((("a", "es"), ("y", "es"), ("las", "es"), ("a", "es")), "Ana", LONGEST_WAIT_S),
        ((("Hola", "es"), ("two", "en")), "Ana", LONGEST_WAIT_S),
        ((), "Ana", LONGEST_WAIT_S),
    ],
)
async def test_what_is_dictated_is_prompted_and_waited_for(
    words: tuple[tuple[str, str], ...], prompt: str, longest_s: float
) -> None:
    again = hearing(transcriber := Transcriber(" a.ruizarrobacorreo.es"), "Ana")
    again.begin(0.5)
    again.add_word(RecognizedWord("before", 0.1, 0.3, "fr"))
    for text, language in words:
        again.add_word(RecognizedWord(text, 0.6, 0.9, language))
    hear(again, *IN_PARTS, (SILENCE, 0.4))
    assert await (work := ended(again)).in_time() == HeardTurn("a.ruiz@correo.es", "es")
    _, options = transcriber.asked[0]
    languages = frozenset(language for _, language in words) or LANGUAGES
    assert (options.prompt, options.candidates) == (prompt, languages)
    assert work._longest_wait_s == pytest.approx(longest_s, abs=0.2)  # and by the length of the turn
    assert options.language == (next(iter(languages)) if len(languages) == 1 else None)
    await again.aclose()


@pytest.mark.parametrize(("word", "known"), [("apellido", ""), ("vale", "live")])
async def test_words_of_a_dictation_are_known_once_it_is_heard_as_a_whole(word: str, known: str) -> None:
    again = hearing(Transcriber(lasts=True))
    again.add_word(RecognizedWord(word, 0.6, 0.9, "es"))
    hear(again, *IN_PARTS, (SILENCE, 0.4))
    work = ended(again)
    assert work.dictated is not bool(known)
    assert work.so_far("live", "es") == (known, "es")
    work.cancel()
    await work.wait()
    assert work.so_far("live", "es") == ("live", "es")
    await again.aclose()


async def test_turn_after_a_long_silence_is_heard_from_its_start() -> None:
    again = hearing(transcriber := Transcriber())
    again.end(0.0)
    hear(again, (SILENCE, 20.0), (SPEECH, 0.3))
    again.begin(19.6)
    hear(again, (SPEECH, 1.7), (SILENCE, 0.4))
    await ended(again, 22.4).in_time()
    assert [round(seconds, 1) for seconds, _ in transcriber.asked] == [2.9]
    await again.aclose()


async def test_example_that_comes_back_is_heard_once_more_without_it() -> None:
    again = hearing(transcriber := Transcriber(" Se escribe B-A-S-F, H-U-G-O. Sí."), "Ana")
    again.add_word(RecognizedWord("apellido", 0.6, 0.9, "es"))
    hear(again, *IN_PARTS, (SILENCE, 0.4))
    await ended(again).in_time()
    assert [options.prompt for _, options in transcriber.asked] == [ASKED, "Ana"]


@pytest.mark.parametrize(("live_s", "kept"), [(2.85, True), (2.95, False), (3.3, True)])
async def test_turn_of_which_less_is_heard_than_live_keeps_its_live_words(live_s: float, kept: bool) -> None:
    """A live word that begins after the last one of the whole was left out, but for what follows the turn."""
    again = hearing(Transcriber(words=(TranscribedWord("whole", 2.0, 2.8, -0.1),)))
    hear(again, *IN_PARTS, (SILENCE, 0.4))
    work = ended(again, 3.2)
    again.add_word(RecognizedWord("late", live_s, live_s + 0.2, "es"))
    assert (await work.in_time() is not None) is kept
    assert (work.so_far("live", "es") == ("the whole", "es")) is kept
    await again.aclose()
