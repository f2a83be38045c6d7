"""Whisper as a recogniser, on real speech."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing

import numpy as np
import pytest

from benchmarks.recognition.streams import sounds_without_speech
from kani.core.expected_words import as_prompt
from kani.core.recognizer import Mark, RecognitionEvent, RecognizedWord, Step
from kani.core.types import Samples
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.whisper.engine import WhisperRecognizer
from kani.engines.whisper.live_pass import transcribe
from kani.runtime.recognition.passes import PassInput, PassResult
from kani.runtime.voice_detector import SAMPLE_RATE
from tests.engines.whisper.conftest import RATE, SENTENCES, Said, say, silence
from tests.judges.judge import words_of

pytestmark = [pytest.mark.heard, pytest.mark.asyncio(loop_scope="session")]

PIECE = 1280


async def at_once(*parts: Samples | Mark, piece: int = PIECE) -> AsyncIterator[Samples | Mark]:
    """Yield all parts without waiting, in pieces of ``piece`` samples."""
    for part in parts:
        if isinstance(part, Mark):
            yield part
            continue
        for at in range(0, len(part), piece):
            yield part[at : at + piece]


async def at_speaking_pace(recognizer: WhisperRecognizer, *parts: Samples) -> AsyncIterator[Samples | Mark]:
    """Yield audio at the pace of speech, and slower while a pass runs.

    So the recogniser keeps up on any machine. Never faster than real time, which would count as a recording.
    """
    audio = np.concatenate(parts)
    loop = asyncio.get_running_loop()
    for at in range(0, len(audio), PIECE):
        piece = audio[at : at + PIECE]
        complete = loop.time() + len(piece) / RATE
        while loop.time() < complete or recognizer._scheduler._free < recognizer._workers:
            await asyncio.sleep(0.005)
        yield piece


async def recognized(
    recognizer: WhisperRecognizer,
    audio: AsyncIterator[Samples | Mark],
    language: str | None = None,
    prompt: str = "",
) -> list[RecognitionEvent]:
    events = recognizer.recognize(audio, language)
    if prompt:
        events = recognizer.recognize_prompted(audio, language, prompt)
    return [event async for event in events]


def text(events: Iterable[RecognitionEvent]) -> str:
    return " ".join(event.text for event in events if isinstance(event, RecognizedWord))


def assert_words_before_their_pause(events: list[RecognitionEvent], *, begun_s: float) -> None:
    """No word follows a Step that reports the pause after it, once speech has begun."""
    paused_s = None
    for event in events:
        if isinstance(event, Step):
            end_s = (event.index + 1) * 0.08
            if event.pause_probabilities[2] < 0.6:
                paused_s = None
            elif end_s > begun_s + 0.3:
                paused_s = paused_s or end_s
        elif isinstance(event, RecognizedWord):
            assert paused_s is None or event.start_s > paused_s - 0.3


@pytest.mark.parametrize("language", SENTENCES)
async def test_sentence_is_heard(recognizer: WhisperRecognizer, said: dict[str, Said], language: str) -> None:
    one = said[language]
    events = await recognized(recognizer, at_once(silence(0.5), one.samples, silence(1.5)))
    assert words_of(text(events), language) == words_of(one.text, language)
    starts = [event.start_s - 0.5 for event in events if isinstance(event, RecognizedWord)]
    errors = np.abs(np.array(starts) - one.starts_s)
    assert np.median(errors) < 0.1 and errors.max() < 0.4
    steps = [event.index for event in events if isinstance(event, Step)]
    assert steps == list(range(int((2.0 * RATE + len(one.samples)) // PIECE)))
    assert_words_before_their_pause(events, begun_s=0.5)
    assert text(events).endswith(".")


SHORT = {
    "es": ("Buenos días.", "Gracias, hasta luego.", "No, gracias."),
    "en": ("Good morning.", "Thank you very much.", "The soup is ready."),
}


@pytest.mark.parametrize(
    ("language", "spoken"), [(language, one) for language, all_ in SHORT.items() for one in all_]
)
async def test_utterances_of_a_second_are_recognised(
    recognizer: WhisperRecognizer, onnx_engine: KokoroEngine, language: str, spoken: str
) -> None:
    one = await say(onnx_engine, language, spoken)
    for around in (silence(0.0), silence(0.3)):
        events = await recognized(recognizer, at_once(around, one.samples, around), language)
        assert words_of(text(events), language) == words_of(spoken, language)


async def test_words_come_in_the_given_language(recognizer: WhisperRecognizer, said: dict[str, Said]) -> None:
    one = said["en"]
    during, events = 0, list[RecognitionEvent]()
    audio = at_speaking_pace(recognizer, silence(0.5), one.samples, silence(1.5))
    async for event in recognizer.recognize(audio, "en"):
        events.append(event)
        if isinstance(event, Step) and (event.index + 1) * 0.08 < 0.5 + len(one.samples) / RATE:
            during = sum(isinstance(word, RecognizedWord) for word in events)
    assert during >= 3
    assert words_of(text(events), "en") == words_of(one.text, "en")
    assert_words_before_their_pause(events, begun_s=0.5)
    one = said["es"]
    spanish, italian = [
        text(await recognized(recognizer, at_once(one.samples, silence(1)), language))
        for language in ("es", "it")
    ]
    assert words_of(spanish, "es") == words_of(one.text, "es")
    assert italian != spanish


async def test_several_languages_narrow_detection(
    recognizer: WhisperRecognizer, said: dict[str, Said]
) -> None:
    audio = said["es"].samples, silence(1)
    for among, found in (({"fr", "it"}, {"fr", "it"}), ({"en", "es"}, {"es"})):
        events = recognizer.recognize_prompted(at_once(*audio), None, "", *among)
        words = [event async for event in events if isinstance(event, RecognizedWord)]
        assert words and {word.language for word in words} <= found
    assert words_of(text(words), "es") == words_of(said["es"].text, "es")


async def test_replies_of_one_word_are_in_the_language_of_the_speech_before(
    recognizer: WhisperRecognizer, onnx_engine: KokoroEngine, said: dict[str, Said]
) -> None:
    words = [
        (await say(onnx_engine, "es", word, "em_alex")).samples for word in ("Sábado.", "Mañana.", "Claro.")
    ]
    audio = [part for one in (said["es"].samples, *words) for part in (one, silence(1.5))]
    events = await recognized(recognizer, at_once(*audio))
    found = [event for event in events if isinstance(event, RecognizedWord)]
    replies = [word.text for word in found if word.start_s > len(said["es"].samples) / RATE + 1]
    assert len(replies) == 3 and {word.language for word in found} == {"es"}
    # A sentence in another language is one.
    events = recognizer.recognize_prompted(at_once(said["en"].samples, silence(1)), None, "", expected="es")
    english = [event async for event in events]
    assert words_of(text(english), "en") == words_of(said["en"].text, "en")


@pytest.mark.parametrize(
    "sound", ["zeros", "white noise", "pink noise", "brown noise", "hum", "clicks", "melody"]
)
async def test_sound_without_speech_has_no_words(recognizer: WhisperRecognizer, sound: str) -> None:
    assert text(await recognized(recognizer, at_once(sounds_without_speech(8)[sound]))) == ""


async def test_expected_name_is_heard_live(
    recognizer: WhisperRecognizer, onnx_engine: KokoroEngine, said: dict[str, Said]
) -> None:
    name = "Marvick Tolliwen"  # Nobody has it.
    one = await say(onnx_engine, "en", f"The parcel is for {name}.")
    audio = one.samples, silence(1)
    prompt = as_prompt([name, "Draylor Hexley"])
    assert name not in text(await recognized(recognizer, at_once(*audio), "en"))
    assert text(await recognized(recognizer, at_once(*audio), "en", prompt)) == one.text
    # The longest prompt costs no words.
    prompt = ", ".join(f"Zandrell {number}" for number in range(2_000))
    audio = (said["en"].samples, silence(1)) * 2
    heard = text(await recognized(recognizer, at_once(*audio), "en", prompt))
    assert words_of(heard, "en") == words_of(said["en"].text, "en") * 2


@pytest.mark.parametrize("sound", ["zeros", "brown noise", "clicks", "melody"])
async def test_noise_has_no_names(recognizer: WhisperRecognizer, said: dict[str, Said], sound: str) -> None:
    """Neither after speech: the last pass of it hears the sound as well."""
    prompt = "Marvick Tolliwen, Draylor Hexley. Thank you for watching!"
    speech, noise = said["en"].samples, sounds_without_speech(4)[sound]
    heard = text(await recognized(recognizer, at_once(noise, speech, silence(0.5), noise), "en", prompt))
    assert words_of(heard, "en") == words_of(said["en"].text, "en")


@pytest.mark.parametrize("behind", [[silence(0.08)] * 25, [silence(35)]])
async def test_mark_comes_back_before_the_audio_ends(
    recognizer: WhisperRecognizer, said: dict[str, Said], behind: list[Samples]
) -> None:
    one = said["en"]
    over = asyncio.Event()

    async def audio() -> AsyncIterator[Samples | Mark]:
        async for piece in at_once(one.samples, Mark(5)):
            yield piece
        for piece in behind:
            yield piece
        await over.wait()

    events = list[RecognitionEvent]()
    async for event in recognizer.recognize(audio(), "en"):
        events.append(event)
        if isinstance(event, Mark):
            over.set()
    (mark,) = (at for at, event in enumerate(events) if isinstance(event, Mark))
    assert words_of(text(events[:mark]), "en") == words_of(one.text, "en")


async def test_result_depends_on_audio_only(recognizer: WhisperRecognizer, said: dict[str, Said]) -> None:
    audio = [np.concatenate([said[code].samples, silence(0.8), said[code].samples]) for code in ("es", "fr")]
    alone = [await recognized(recognizer, at_once(samples)) for samples in audio]
    together = await asyncio.gather(*(recognized(recognizer, at_once(samples)) for samples in audio))
    assert [text(events) for events in together] == [text(events) for events in alone]
    for piece in (333, len(audio[0])):
        events = await recognized(recognizer, at_once(audio[0], piece=piece))
        assert text(events) == text(alone[0])
        assert sum(isinstance(event, Step) for event in events) == sum(
            isinstance(event, Step) for event in alone[0]
        )


async def test_streams_return_marks_and_errors(recognizer: WhisperRecognizer, said: dict[str, Said]) -> None:
    assert await recognized(recognizer, at_once()) == []
    assert await recognized(recognizer, at_once(Mark(1), Mark(2))) == [Mark(1), Mark(2)]

    async def broken() -> AsyncIterator[Samples | Mark]:
        yield said["en"].samples
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        await recognized(recognizer, broken(), "en")


async def test_recording_does_not_block_the_event_loop(recognizer: WhisperRecognizer) -> None:
    turns = 0
    job = asyncio.create_task(recognized(recognizer, at_once(silence(60), piece=60 * RATE)))
    while not job.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 50
    assert len(await job) == 750


async def test_closed_stream_leaves_no_task(recognizer: WhisperRecognizer, said: dict[str, Said]) -> None:
    tasks = asyncio.all_tasks()
    begun, closed = asyncio.Event(), asyncio.Event()

    async def endless() -> AsyncIterator[Samples | Mark]:
        try:
            yield said["en"].samples
            begun.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    async with aclosing(recognizer.recognize(endless(), "en")) as events:
        async for event in events:
            if isinstance(event, Step) and event.index == 20:
                break
    assert asyncio.all_tasks() == tasks
    begun.clear()
    closed.clear()
    cancelled = asyncio.create_task(recognized(recognizer, endless(), "en"))
    await begun.wait()
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert closed.is_set()
    assert asyncio.all_tasks() == tasks
    assert text(await recognized(recognizer, at_once(said["en"].samples, silence(1)), "en"))


@pytest.mark.parametrize("language", SENTENCES)
async def test_prefix_comes_once(recognizer: WhisperRecognizer, said: dict[str, Said], language: str) -> None:
    one = said[language]
    padded = np.concatenate([silence(0.3), one.samples, silence(0.3)])

    def passed(prefix: tuple[int, ...]) -> PassResult:
        speech_s = 0.3 + len(one.samples) / SAMPLE_RATE
        return transcribe(recognizer._whisper, PassInput(padded, language, prefix, speech_s=speech_s))

    whole = passed(()).words
    assert words_of(" ".join(timed.word.text for timed in whole), language) == words_of(one.text, language)
    for known in (1, len(whole) // 2, len(whole)):
        rest = passed(tuple(token for timed in whole[:known] for token in timed.word.tokens))
        assert rest.has_speech
        found = [timed.word.normalized for timed in rest.words]
        assert found == [timed.word.normalized for timed in whole[known:]]
