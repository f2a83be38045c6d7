"""Windowed decoding: early first audio, cancellation at any window, trimmed silence."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.kokoro.engine import KokoroEngine
from engines.kokoro.network.parts import SplitModel
from engines.kokoro.windows import FIRST_WINDOW_FRAMES, windows
from speech.playback import Playback
from speech.types import Samples, Segment, SpeechChunk
from tests.support.kokoro import chunks_of, computing, joined

LONG = Segment(
    "El río baja tranquilo entre los álamos, y en la orilla unos niños juegan con piedras planas "
    "mientras sus abuelos hablan del tiempo.",
    "ef_dora",
    "es",
)
MIDDLING = Segment("El río baja tranquilo entre los álamos.", "ef_dora", "es")
SHORT = Segment("Sigo aquí.", "ef_dora", "es")


async def assert_free(engine: KokoroEngine) -> None:
    assert engine._scheduler._free == engine._concurrency
    assert len(await chunks_of(engine, SHORT))
    assert engine._scheduler._free == engine._concurrency


@given(st.integers(0, 500), st.integers(0, 1500))
def test_windows_cover_everything_and_grow(begin: int, length: int) -> None:
    plan = list(windows(begin, begin + length))
    assert [first for first, _ in plan] + [begin + length] == [begin] * (not plan) + [
        *([begin] if plan else []),
        *(end for _, end in plan),
    ]
    sizes = [end - first for first, end in plan]
    assert all(size >= FIRST_WINDOW_FRAMES for size in sizes) or len(sizes) == 1
    assert all(a <= b for a, b in pairwise(sizes[:-1]))
    if length >= 2 * FIRST_WINDOW_FRAMES:
        assert sizes[0] == FIRST_WINDOW_FRAMES


async def test_first_audio_comes_before_half_of_the_work(
    engine: KokoroEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    decode_window = SplitModel.decode_window

    def counted(*arguments: object) -> Samples:
        samples = decode_window(*arguments)
        made.append(len(samples))
        return samples

    monkeypatch.setattr(SplitModel, "decode_window", counted)
    speech = engine.synthesize(LONG)
    first = await anext(speech)
    while not len(first.samples):
        first = await anext(speech)
    steps, frames = len(made), sum(made)
    others = [chunk async for chunk in speech]
    assert 2 * steps < len(made)
    assert 5 * frames < sum(made)
    assert first.start_s == 0.0
    assert all(a.end_s == pytest.approx(b.start_s) for a, b in pairwise([first, *others]))


@pytest.mark.parametrize("heard", [0, 1, 2, 3])
async def test_close_after_any_window_frees_slot(engine: KokoroEngine, heard: int) -> None:
    speech = engine.synthesize(LONG)
    for _ in range(heard):
        await anext(speech)
    await speech.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(speech)
    await assert_free(engine)


@pytest.mark.parametrize("heard", [0, 1, 2, 3])
async def test_cancel_in_any_window_frees_slot(engine: KokoroEngine, heard: int) -> None:
    chunks: list[SpeechChunk] = []
    reached = asyncio.Event()

    async def listen() -> None:
        async for chunk in engine.synthesize(LONG):
            chunks.append(chunk)
            if len(chunks) == heard:
                reached.set()

    task = asyncio.create_task(listen())
    if heard:
        await reached.wait()
    await computing(engine)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(chunks) == heard
    await assert_free(engine)


async def test_cancel_while_waiting_for_slot_frees_no_other(engine: KokoroEngine) -> None:
    async with AsyncExitStack() as turns:
        for _ in range(engine._concurrency):
            await turns.enter_async_context(engine._scheduler.slot(0.0))
        task = asyncio.create_task(chunks_of(engine, LONG))
        while not engine._scheduler._waiting:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert engine._scheduler._free == 0
    await assert_free(engine)


async def test_more_streams_than_slots_are_exact(engine: KokoroEngine) -> None:
    alone = await chunks_of(engine, MIDDLING)
    together = await asyncio.gather(*(chunks_of(engine, MIDDLING) for _ in range(2 * engine._concurrency)))
    assert all(np.array_equal(joined(chunks)[0], joined(alone)[0]) for chunks in together)
    await assert_free(engine)


async def test_stream_without_audio_goes_first(engine: KokoroEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    # Listeners whose clock stands still: deadlines do not depend on the speed of this machine.
    monkeypatch.setattr("engines.kokoro.engine.Playback", lambda: Playback(lambda: 0.0))
    ended: list[str] = []

    async def speak(name: str, segment: Segment) -> None:
        await chunks_of(engine, segment)
        ended.append(name)

    tasks = [asyncio.create_task(speak("long", LONG)) for _ in range(engine._concurrency + 1)]
    await computing(engine, engine._concurrency)
    tasks.append(asyncio.create_task(speak("short", SHORT)))
    await asyncio.gather(*tasks)
    assert ended[0] == "short"


@pytest.mark.parametrize(
    ("text", "voice", "language"),
    [
        ("Buenos días, ¿cómo está usted hoy?", "ef_dora", "es"),
        ("La biblioteca cierra los domingos.", "em_alex", "es"),
        ("The weather in London is rather cold this morning.", "bm_george", "en-GB"),
        ("My name is Anna.", "af_heart", "en"),
        ("Je suis très heureuse de vous voir", "ff_siwis", "fr"),
        ("Buongiorno, oggi andiamo a mangiare una pizza.", "im_nicola", "it"),
        ("Bom dia, amanhã vamos viajar.", "pf_dora", "pt"),
    ],
)
async def test_silence_around_speech_is_short(
    engine: KokoroEngine, text: str, voice: str, language: str
) -> None:
    chunks = [
        chunk for chunk in await chunks_of(engine, Segment(text, voice, language)) if len(chunk.samples)
    ]
    samples, _ = joined(chunks)
    peak = np.abs(samples).max()
    loud = np.flatnonzero(np.abs(samples) > 0.02 * peak)
    assert loud[0] / 24_000 <= 0.120
    assert np.abs(chunks[0].samples).max() > 0.02 * peak
    power = np.square(samples[: len(samples) // 120 * 120].reshape(-1, 120)).mean(axis=1)
    heard = np.flatnonzero(power > np.percentile(power, 95) * 10**-4.5)
    assert heard[0] * 0.005 <= 0.05
    assert len(samples) / 24_000 - (heard[-1] + 1) * 0.005 <= 0.06
