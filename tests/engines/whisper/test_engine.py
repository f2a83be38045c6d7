"""Whisper on real speech: what is heard, when, and what is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from engines.whisper.engine import WhisperRecognizer
from speech.errors import EngineUnavailable
from speech.recognizer import Mark, RecognitionEvent, RecognizedWord, Step
from speech.types import Samples
from tests.engines.whisper.conftest import RATE, Said, silence
from tests.judges.judge import words_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

PIECE = 1280


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def recognizer(nowhere: Path) -> AsyncIterator[WhisperRecognizer]:
    """Started once for all tests; its weights come from the installed packages."""
    made = WhisperRecognizer(models_dir=None, cache_dir=nowhere)
    await made.start()
    yield made
    await made.stop()


async def sent(*parts: Samples | Mark, piece: int = PIECE) -> AsyncIterator[Samples | Mark]:
    """All there at once, in pieces of so many samples."""
    for part in parts:
        if isinstance(part, Mark):
            yield part
            continue
        for at in range(0, len(part), piece):
            yield part[at : at + piece]


async def spoken(recognizer: WhisperRecognizer, *parts: Samples) -> AsyncIterator[Samples | Mark]:
    """Audio as it is spoken, held back while a pass over it is under way.

    So the recogniser keeps up with it on any machine. Never faster than real time, which counts as audio
    that was there before.
    """
    audio = np.concatenate(parts)
    loop = asyncio.get_running_loop()
    for at in range(0, len(audio), PIECE):
        piece = audio[at : at + PIECE]
        complete = loop.time() + len(piece) / RATE
        while loop.time() < complete or recognizer._turns._free < recognizer._workers:
            await asyncio.sleep(0.005)
        yield piece


async def heard(
    recognizer: WhisperRecognizer, audio: AsyncIterator[Samples | Mark], language: str | None = None
) -> list[RecognitionEvent]:
    """All that is told of ``audio``."""
    return [told async for told in recognizer.recognize(audio, language)]


def text(told: Iterable[RecognitionEvent]) -> str:
    """The words that were told."""
    return " ".join(one.text for one in told if isinstance(one, RecognizedWord))


def assert_words_before_their_pause(told: list[RecognitionEvent], *, begun_s: float) -> None:
    """No word comes behind a Step that says that its speaker has paused, once he has begun to speak."""
    paused = None
    for one in told:
        if isinstance(one, Step):
            end_s = (one.index + 1) * 0.08
            if one.pause_probabilities[2] < 0.6:
                paused = None
            elif end_s > begun_s + 0.3:
                paused = paused or end_s
        elif isinstance(one, RecognizedWord):
            assert paused is None or one.start_s > paused - 0.3


@pytest.mark.parametrize("language", ["es", "en", "fr"])
async def test_a_sentence_is_heard_word_for_word(
    recognizer: WhisperRecognizer, said: dict[str, Said], language: str
) -> None:
    """In the language it is in, though nobody said which; with the times of its words."""
    one = said[language]
    told = await heard(recognizer, sent(silence(0.5), one.samples, silence(1.5)))
    assert words_of(text(told), language) == words_of(one.text, language)
    starts = [word.start_s - 0.5 for word in told if isinstance(word, RecognizedWord)]
    errors = np.abs(np.array(starts) - one.starts_s)
    assert np.median(errors) < 0.1
    assert errors.max() < 0.4
    steps = [step.index for step in told if isinstance(step, Step)]
    assert steps == list(range(int((2.0 * RATE + len(one.samples)) // PIECE)))
    assert_words_before_their_pause(told, begun_s=0.5)
    assert text(told).endswith(".")


async def test_words_come_while_somebody_speaks(recognizer: WhisperRecognizer, said: dict[str, Said]) -> None:
    """Most of them before the sentence has ended, and all of them the same as they are in the end."""
    one = said["en"]
    count, told = 0, list[RecognitionEvent]()
    audio = spoken(recognizer, silence(0.5), one.samples, silence(1.5))
    async for what in recognizer.recognize(audio, "en"):
        told.append(what)
        if isinstance(what, Step) and (what.index + 1) * 0.08 < 0.5 + len(one.samples) / RATE:
            count = sum(isinstance(word, RecognizedWord) for word in told)
    assert count >= 3
    assert words_of(text(told), "en") == words_of(one.text, "en")
    assert_words_before_their_pause(told, begun_s=0.5)


@pytest.mark.parametrize("sound", ["zeros", "white", "pink", "brown", "hum", "clicks", "melody"])
async def test_nothing_is_heard_where_nobody_speaks(recognizer: WhisperRecognizer, sound: str) -> None:
    """In what Whisper invents words for when it is asked."""
    random = np.random.default_rng(3)
    length = 8 * RATE
    at = np.arange(length) / RATE
    white = random.standard_normal(length)
    frequencies = np.maximum(np.fft.rfftfreq(length), 1 / length)
    coloured = {power: np.fft.irfft(np.fft.rfft(white) / frequencies**power, length) for power in (0.5, 1.0)}
    clicks = np.zeros(length)
    clicks[:: RATE // 3] = 8.0
    tones = 220.0 * 2 ** (random.integers(0, 12, 32) / 12)
    melody = np.sin(2 * np.pi * np.cumsum(np.repeat(tones, length // 32)) / RATE)
    sounds = {
        "zeros": np.zeros(length),
        "white": white,
        "pink": coloured[0.5] / coloured[0.5].std(),
        "brown": coloured[1.0] / coloured[1.0].std(),
        "hum": np.sin(2 * np.pi * 50 * at) + 0.5 * np.sin(2 * np.pi * 150 * at),
        "clicks": clicks,
        "melody": melody,
    }
    samples = (0.1 * sounds[sound]).astype(np.float32)
    assert text(await heard(recognizer, sent(samples))) == ""


async def test_a_language_that_is_given_is_taken(
    recognizer: WhisperRecognizer, said: dict[str, Said]
) -> None:
    """Spanish written as an Italian would write it."""
    one = said["es"]
    spanish = await heard(recognizer, sent(one.samples, silence(1)), "es")
    italian = await heard(recognizer, sent(one.samples, silence(1)), "it")
    assert words_of(text(spanish), "es") == words_of(one.text, "es")
    assert text(italian) != text(spanish)


@pytest.mark.parametrize("behind", [[silence(0.08)] * 25, [silence(35)]])
async def test_a_mark_comes_back_behind_the_words_before_it(
    recognizer: WhisperRecognizer, said: dict[str, Said], behind: list[Samples]
) -> None:
    """Before the audio is over, for those who wait for it to end it."""
    one = said["en"]
    over = asyncio.Event()

    async def audio() -> AsyncIterator[Samples | Mark]:
        async for piece in sent(one.samples, Mark(5)):
            yield piece
        for piece in behind:
            yield piece
        await over.wait()

    told = list[RecognitionEvent]()
    async for what in recognizer.recognize(audio(), "en"):
        told.append(what)
        if isinstance(what, Mark):
            over.set()
    marks = [at for at, what in enumerate(told) if isinstance(what, Mark)]
    assert len(marks) == 1
    assert words_of(text(told[: marks[0]]), "en") == words_of(one.text, "en")


async def test_two_streams_hear_what_each_hears_alone(
    recognizer: WhisperRecognizer, said: dict[str, Said]
) -> None:
    """Nothing passes from one to the other."""
    audio = [(said[code].samples, silence(0.8), said[code].samples) for code in ("es", "fr")]
    alone = [text(await heard(recognizer, sent(*parts))) for parts in audio]
    together = await asyncio.gather(*(heard(recognizer, sent(*parts)) for parts in audio))
    assert [text(told) for told in together] == alone


async def test_the_pieces_may_be_of_any_length(recognizer: WhisperRecognizer, speech: Samples) -> None:
    """The words and the Steps are the same."""
    audio = np.concatenate([speech, silence(1)])
    told = [await heard(recognizer, sent(audio, piece=piece), "en") for piece in (PIECE, 333, len(audio))]
    assert text(told[0]) == text(told[1]) == text(told[2])
    assert len({sum(isinstance(what, Step) for what in one) for one in told}) == 1


async def test_no_audio_at_all(recognizer: WhisperRecognizer) -> None:
    """Marks come back all the same."""
    assert await heard(recognizer, sent()) == []
    assert await heard(recognizer, sent(Mark(1), Mark(2))) == [Mark(1), Mark(2)]


async def test_the_event_loop_goes_on_while_a_recording_is_heard(recognizer: WhisperRecognizer) -> None:
    """A minute of silence in one piece is looked through in short turns."""
    turns = 0
    hearing = asyncio.create_task(heard(recognizer, sent(silence(60), piece=60 * RATE)))
    while not hearing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 50
    assert len(await hearing) == 750


async def test_a_stream_that_is_left_in_the_middle_leaves_nothing(
    recognizer: WhisperRecognizer, speech: Samples
) -> None:
    """Cancelled or closed, with a pass under way: no task is left, and others are heard."""
    tasks = asyncio.all_tasks()
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[Samples | Mark]:
        try:
            yield speech
            await asyncio.Event().wait()
        finally:
            closed.set()

    async with aclosing(recognizer.recognize(endless(), "en")) as told:
        async for what in told:
            if isinstance(what, Step) and what.index == 20:
                break
    assert asyncio.all_tasks() == tasks
    cancelled = asyncio.create_task(heard(recognizer, endless(), "en"))
    closed.clear()
    await asyncio.sleep(0.05)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert closed.is_set()
    assert asyncio.all_tasks() == tasks
    assert text(await heard(recognizer, sent(speech, silence(1)), "en"))


async def test_an_error_of_the_audio_is_passed_on(recognizer: WhisperRecognizer, speech: Samples) -> None:
    """As it is."""

    async def broken() -> AsyncIterator[Samples | Mark]:
        yield speech
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        await heard(recognizer, broken(), "en")


async def test_a_wrong_file_is_refused(tmp_path: Path) -> None:
    """By its name, with the cure."""
    folder = tmp_path / "whisper-base"
    folder.mkdir()
    (folder / "model.bin").write_bytes(b"no model")
    recognizer = WhisperRecognizer(models_dir=tmp_path, cache_dir=tmp_path)
    with pytest.raises(EngineUnavailable, match=r"whisper-base/model\.bin"):
        await recognizer.start()
    await recognizer.stop()
