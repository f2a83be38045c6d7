"""The ElevenLabs engine against the recorded service: messages sent, audio and times received."""

import asyncio
import base64
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from kani.core.types import Boundary, Sampling, Segment
from kani.engines.elevenlabs import connection as connection_module
from kani.engines.elevenlabs import messages
from kani.engines.elevenlabs.messages import CharacterAlignment
from kani.engines.elevenlabs.times import CharacterTimes
from tests.engines.elevenlabs import conftest
from tests.engines.elevenlabs.conftest import LONG, TEXT, Typing, assert_in_order, said, started, words_of
from tests.support import elevenlabs_service as fake
from tests.support.elevenlabs_service import KEY, LETTER_S, RATE, Change, ElevenLabsService, Frame, tone
from tests.support.patience import WITHIN_S, happens


async def test_complete_text_is_sent_and_spoken(service: ElevenLabsService) -> None:
    """Messages as the service documents them; samples as received; the exact time of every character."""
    async with started(service) as engine:
        chunks = await said(engine, speed=1.1, sampling=Sampling(seed=2**32 + 7))
    (exchange,) = service.exchanges
    assert exchange.path == f"/v1/text-to-speech/{fake.VOICE}/stream-input"
    assert exchange.query == {
        "model_id": "eleven_flash_v2_5",
        "output_format": "pcm_24000",
        "optimize_streaming_latency": "1",
        "sync_alignment": "true",
        "inactivity_timeout": "180",
        "enable_ssml_parsing": "false",
        "language_code": "en",
        "seed": "7",
    }
    assert exchange.headers["xi-api-key"] == KEY
    first = {"generation_config": {"chunk_length_schedule": [500]}, "voice_settings": {"speed": 1.1}}
    assert exchange.received == [{"text": " ", **first}, {"text": TEXT}, {"text": ""}]
    assert conftest.audio_of(chunks) == tone(TEXT + " ")[0]
    assert all(chunk.sample_rate == RATE for chunk in chunks)
    assert words_of(TEXT, chunks) == conftest.expected_words(TEXT)
    assert_in_order(chunks, TEXT)
    marks = [round(mark * 1000) for chunk in chunks for span in chunk.spans for mark in span.character_starts]
    assert marks == [round(at * LETTER_S * 1000) for at, letter in enumerate(TEXT) if letter != " "]


async def test_info_lists_the_accounts_voices(service: ElevenLabsService) -> None:
    """The configured voice first; ids that could be a path are left out; languages of the model."""
    async with started(service) as engine:
        info = engine.info
    assert [(voice.id, voice.name, voice.gender) for voice in info.voices] == [
        (conftest.ID, "Rachel", "female"),
        (f"elevenlabs:{fake.OTHER_VOICE}", "Sarah", "female"),
    ]
    assert info.sample_rate == RATE and info.speed_range == (0.7, 1.2)
    assert info.accepts_partial_text and info.streams_inside_segment and info.supported_fields == {"seed"}
    assert info.default_voices["es"] == info.default_voices["ar"] == conftest.ID
    assert service.voices_asked[0]["xi-api-key"] == KEY
    async with started(service, model="eleven_multilingual_v2") as engine:
        await said(engine)
        assert "hu" not in engine.info.default_voices and "ar" in engine.info.default_voices
    assert "language_code" not in service.exchanges[0].query


def relative(alignment: Frame, sent_ms: float) -> Frame:
    """As the documentation of ``sync_alignment`` says: from the message's own audio on."""
    return alignment | {"charStartTimesMs": [round(one - sent_ms) for one in alignment["charStartTimesMs"]]}


def snake(alignment: Frame, sent_ms: float) -> Frame:
    renamed = {"char_start_times_ms": "charStartTimesMs", "charsDurationsMs": "charDurationsMs"}
    return {name: alignment[renamed.get(name, name)] for name in ("chars", *renamed)}


def pairs(alignment: Frame, sent_ms: float) -> Frame:
    chars, durations = alignment["chars"], alignment["charDurationsMs"]
    return {
        "chars": ["".join(chars[at : at + 2]) for at in range(0, len(chars), 2)],
        "charStartTimesMs": alignment["charStartTimesMs"][::2],
        "charDurationsMs": [sum(durations[at : at + 2]) for at in range(0, len(chars), 2)],
    }


@pytest.mark.parametrize(
    "wording",
    [
        # As observed with ``sync_alignment``: from the start of the stream.
        pytest.param(lambda alignment, sent_ms: alignment, id="absolute"),
        relative,
        snake,
        # The text as it is read out, which here is the same, and begins with a space.
        pytest.param(lambda alignment, sent_ms: None, id="only normalized"),
        pairs,
    ],
)
async def test_every_format_of_times_is_read(
    service: ElevenLabsService, wording: Callable[[Frame, float], Frame | None]
) -> None:
    sent_ms = 0.0

    def change(frame: Frame, number: int) -> list[Frame | str | bytes]:
        nonlocal sent_ms
        changed = frame | {"alignment": frame["alignment"] and wording(frame["alignment"], sent_ms)}
        sent_ms += len(base64.b64decode(frame["audio"] or "")) / (2 * RATE) * 1000
        return [changed]

    service.change = change
    async with started(service) as engine:
        chunks = await said(engine, LONG)
    assert words_of(LONG, chunks) == conftest.expected_words(LONG)
    assert len(chunks) > 10


@pytest.mark.parametrize("sync", [True, False])
async def test_pieces_of_one_text_follow_each_other(
    service: ElevenLabsService, monkeypatch: pytest.MonkeyPatch, sync: bool
) -> None:
    """Also where all times of a piece come with its first message, counted from there."""
    path = messages.stream_path
    chosen = {"sync_alignment": sync}
    monkeypatch.setattr(messages, "stream_path", lambda voice, **query: path(voice, **(query | chosen)))
    async with started(service) as engine, asyncio.timeout(WITHIN_S):
        first = Typing(LONG)
        async with aclosing(engine.stream(Segment(LONG, conftest.ID, "en"), first.text)) as speech:
            chunks = [await anext(speech)]
            first.add(" And so on.", Boundary.SENTENCE)
            chunks += [chunk async for chunk in speech]
    text = f"{LONG} And so on."
    assert service.exchanges[0].text == text
    assert words_of(text, chunks) == conftest.expected_words(text)


async def test_text_is_sent_and_spoken_while_it_is_written(service: ElevenLabsService) -> None:
    typing = Typing("One two")
    async with started(service) as engine:
        segment = Segment("One two", conftest.ID, "en")
        async with asyncio.timeout(WITHIN_S), aclosing(engine.stream(segment, typing.text)) as speech:
            pending = asyncio.ensure_future(anext(speech))
            await typing.waits.wait()
            typing.add(" three four five six seven eight nine ten eleven")
            first = await pending
            assert first.spans[0].character_starts and typing.text.boundary is None
            await typing.waits.wait()
            typing.add(" twelve.", Boundary.SENTENCE)
            rest = [chunk async for chunk in speech]
    (exchange,) = service.exchanges
    assert [frame["text"] for frame in exchange.received] == [
        *(" ", "One two", " three four five six seven eight nine ten eleven", " twelve.", "")
    ]
    assert exchange.received[0]["generation_config"] == {"chunk_length_schedule": [50, 120, 160, 250]}
    assert_in_order([first, *rest], typing.text.text)


async def test_waiting_stream_stays_open(service: ElevenLabsService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "KEEP_ALIVE_S", 0.05)
    typing = Typing("One two")
    async with started(service) as engine:
        listening = asyncio.create_task(conftest.said_while_written(engine, typing))
        await service.opened.wait()
        await happens(lambda: len(service.exchanges[0].received) >= 5)
        typing.add(" three.", Boundary.SENTENCE)
        chunks = await listening
    assert service.exchanges[0].text == "One two three."
    assert_in_order(chunks, "One two three.")


async def test_silence_around_the_speech_is_trimmed(service: ElevenLabsService) -> None:
    """At most 50 ms stay on each side; times count from the first sample that is played."""
    silence = base64.b64encode(bytes(2 * RATE * 6 // 10)).decode()
    untimed: Frame = {"alignment": None, "audio": silence, "isFinal": None, "normalizedAlignment": None}

    def later(frame: Frame) -> Frame:
        alignment = frame["alignment"] or {"charStartTimesMs": []}
        starts = [start + 600 for start in alignment["charStartTimesMs"]]
        return frame | {"alignment": frame["alignment"] and alignment | {"charStartTimesMs": starts}}

    def change(frame: Frame, number: int) -> list[Frame | str | bytes]:
        if number < 0:
            return [untimed, frame]
        return [untimed, later(frame)] if number == 0 else [later(frame)]

    service.change = change
    async with started(service) as engine:
        chunks = await said(engine)
    kept = 2 * RATE * 5 // 100
    assert conftest.audio_of(chunks) == bytes(kept) + tone(TEXT + " ")[0] + bytes(kept)
    *words, (last, begins, ends) = [
        (w, start + 50, end + 50) for w, start, end in conftest.expected_words(TEXT)
    ]
    assert words_of(TEXT, chunks) == [*words, (last, begins, ends + 50)]


# Invalid messages.

INVALID = ["not json", b"\x00\x01", "[1, 2]", "null", '{"audio": NaN}', "[" * 5000, {"audio": 7}, {}]
UNTIMED = {"alignment": None, "normalizedAlignment": None}


def without_times(frame: Frame, number: int) -> list[Frame | str | bytes]:
    return [frame | UNTIMED]


def odd_bytes(frame: Frame, number: int) -> list[Frame | str | bytes]:
    """Samples torn in two, and base64 without its padding."""
    audio = base64.b64decode(frame["audio"] or "")
    halves = [audio[:33], audio[33:]] if audio else [b""]
    return [frame | {"audio": base64.b64encode(half).decode().rstrip("=")} for half in halves]


def in_one() -> Change:
    """All audio in one large message, and all times."""
    audio, alignment = b"", {"chars": [], "charStartTimesMs": [], "charDurationsMs": []}

    def change(frame: Frame, number: int) -> list[Frame | str | bytes]:
        nonlocal audio
        audio += base64.b64decode(frame["audio"] or "")
        for name in alignment:
            alignment[name] += (frame["alignment"] or {}).get(name, [])
        whole = frame | {"audio": base64.b64encode(audio).decode(), "alignment": alignment}
        return [] if number >= 0 else [whole]

    return change


def spoiled(**fields: Any) -> Change:
    def change(frame: Frame, number: int) -> list[Frame | str | bytes]:
        alignment = frame["alignment"] and frame["alignment"] | fields
        return [frame | {"alignment": alignment, "normalizedAlignment": None}]

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda frame, number: [*INVALID, frame],
        # Times before their audio.
        lambda frame, number: [frame | {"audio": None}, frame | UNTIMED],
        *(without_times, in_one(), odd_bytes),
        *(spoiled(charStartTimesMs=starts) for starts in ([5, 3, 1], None)),
        *(spoiled(charDurationsMs=lengths) for lengths in ([1], ["a", {}])),
        *(spoiled(chars=chars) for chars in ([1, 2], "abc")),
        *(
            spoiled(chars=chars, charStartTimesMs=starts, charDurationsMs=[10] * len(chars))
            for chars, starts in (
                *((["x"], [0]), (["H"], [-1]), (["H"], [True]), ([" ", ""], [0, 1])),
                (["H", "e"], [3_000_000, 3_000_001]),
            )
        ),
        spoiled(chars=["H"], charStartTimesMs=[0], charDurationsMs=[1e400]),
    ],
)
async def test_invalid_messages_cost_no_audio(service: ElevenLabsService, change: Change) -> None:
    service.change = change
    async with started(service) as engine:
        chunks = await said(engine)
    assert conftest.audio_of(chunks) == tone(TEXT + " ")[0]
    assert_in_order(chunks, TEXT)


async def test_untimed_words_share_audio_and_wide_characters_are_words(service: ElevenLabsService) -> None:
    service.change = without_times
    async with started(service) as engine:
        chunks = await said(engine, "ab cd")
    assert words_of("ab cd", chunks) == [("ab", 0, 150), ("cd", 150, 300)]
    # Each is placed as soon as its time is known.
    times = CharacterTimes()
    times.extend_text("今天很好。OK")
    timed = CharacterAlignment(tuple("今天很"), (0.0, 0.2, 0.4), (0.2, 0.2, 0.2))
    assert times.add_alignment(timed, 0.0)
    assert [(word.start, word.end) for word in times.words(10.0)] == [(0, 1), (1, 2), (2, 3)]
    assert [(word.start, word.end) for word in times.finish(1.0)] == [(3, 4), (4, 5), (5, 7)]
    # None begins before the one before it has ended, or ends before it begins.
    times = CharacterTimes()
    times.extend_text("今天很")
    late = CharacterAlignment(tuple("今天很"), (0.5, 0.2, 0.9), (0.2, 0.1, 0.1))
    assert times.add_alignment(late, 0.0)
    found = [(word.start_s, word.end_s) for word in times.finish(1.0)]
    assert found == [(0.5, 0.7), (0.7, 0.7), (0.9, 1.0)]


async def test_gap_in_the_times_is_filled(service: ElevenLabsService) -> None:
    def change(frame: Frame, number: int) -> list[Frame | str | bytes]:
        return without_times(frame, number) if number in (1, 2) else [frame]

    service.change = change
    async with started(service) as engine:
        chunks = await said(engine, LONG)
    assert_in_order(chunks, LONG)
    timed = {word: start for word, start, _ in words_of(LONG, chunks)}
    assert timed == {word: pytest.approx(start, abs=150) for word, start, _ in conftest.expected_words(LONG)}
    assert timed["fifteen."] == conftest.expected_words(LONG)[-1][1]
