"""Checks an engine's speech where it enters, so that all that follows can rely on its contract."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import numpy as np

from kani.core.errors import EngineFailed
from kani.core.types import Samples, Span, SpeechChunk

MAX_PEAK = 16.0
"""Peak, as a factor of full scale (24 dB above it), beyond which samples are no speech. Decoders and
resamplers overshoot to less than 2, which is clipped; integers that nobody scaled reach thousands."""

MAX_EMPTY_CHUNKS = 1000
"""Chunks in a row without audio, such as of a model's steps before its first sound."""

SHORTEST_S = 0.01
"""Seconds of audio up to which chunks without spans are joined: a session holds back as much anyway."""

EXCESS_S = 1.0
"""Seconds beyond a segment's longest time that are passed on, so that the session knows that it is cut."""

TURN_S = 0.01
"""Seconds after which an engine that never waits leaves a turn to other tasks."""

_FLOAT32 = np.dtype(np.float32)


async def checked_speech(
    speech: AsyncGenerator[SpeechChunk, None],
    engine: str,
    sample_rate: int,
    max_seconds: float,
    characters: Callable[[], int],
) -> AsyncGenerator[SpeechChunk, None]:
    """Yield one segment's speech in [-1, 1]; short chunks are joined, and those that hold nothing left out.

    engine: its name; sample_rate: hertz of its description; max_seconds: of the segment, soon after which
    this ends; characters: number of the text's so far, which spans point into. Closing it closes ``speech``.
    Raises EngineFailed for speech that breaks ``Engine.synthesize``'s contract, and what ``speech`` raises.
    """
    longest, shortest = round((max_seconds + EXCESS_S) * sample_rate), round(SHORTEST_S * sample_rate)
    waiting: list[Samples] = []
    held = made = empty = timed = known = 0
    turn_began = time.perf_counter()
    async with aclosing(speech) as chunks:
        async for chunk in chunks:
            spans = chunk.spans
            empty = check_form(chunk.samples, engine, empty)
            if chunk.sample_rate != sample_rate:
                rates = f"{chunk.sample_rate} Hz instead of its {sample_rate} Hz"
                raise EngineFailed(f"the {engine} engine gave audio of {rates}")
            if not math.isfinite(chunk.start_s):
                raise EngineFailed(f"the {engine} engine gave a time that is not finite")
            if spans:
                timed += len(spans)
                if timed > known or spans[-1].end > known:
                    known = characters()
                _check_spans(spans, timed, known, engine)
            waiting.append(chunk.samples)
            held += len(chunk.samples)
            if spans or held >= shortest:
                samples = check_values(waiting, engine, longest - made)
                yield SpeechChunk(samples, sample_rate, made / sample_rate, spans)
                made += len(samples)
                waiting, held = [], 0
                if made >= longest:
                    return
            if time.perf_counter() - turn_began > TURN_S:
                await asyncio.sleep(0)
                turn_began = time.perf_counter()
    if held:
        yield SpeechChunk(check_values(waiting, engine, longest - made), sample_rate, made / sample_rate)


def check_form(samples: Samples, engine: str, empty: int) -> int:
    """Return the number of chunks without audio in a row, which was ``empty`` before this one.

    Raises EngineFailed for too many of them, and for anything but an array of float32 in one dimension.
    """
    if not isinstance(samples, np.ndarray) or samples.dtype != _FLOAT32 or samples.ndim != 1:
        raise EngineFailed(f"the {engine} engine gave samples that are no mono float32")
    if len(samples):
        return 0
    if empty == MAX_EMPTY_CHUNKS:
        many = f"more than {MAX_EMPTY_CHUNKS:,} chunks without audio in a row"
        raise EngineFailed(f"the {engine} engine gave {many}")
    return empty + 1


def check_values(pieces: list[Samples], engine: str, longest: int) -> Samples:
    """Join pieces, up to ``longest`` samples, and return them in [-1, 1].

    Raises EngineFailed for NaN, infinity, and samples beyond ``MAX_PEAK``.
    """
    samples = (pieces[0] if len(pieces) == 1 else np.concatenate(pieces))[:longest]
    if not len(samples):
        return samples
    # Both places are that of a NaN, if there is one. Reductions would take three times as long.
    peak = max(-samples.item(samples.argmin()), samples.item(samples.argmax()))
    if peak <= 1.0:
        return samples
    if peak <= MAX_PEAK:
        return in_range(samples)
    what = f"beyond {MAX_PEAK:g} times full scale" if math.isfinite(peak) else "that are not finite"
    raise EngineFailed(f"the {engine} engine gave samples {what}")


def in_range(samples: Samples) -> Samples:
    """Return samples clipped to [-1, 1], with 0 for NaN: some encoders end the process on others."""
    if not len(samples) or max(-samples.item(samples.argmin()), samples.item(samples.argmax())) <= 1.0:
        return samples
    return np.nan_to_num(samples).clip(-1.0, 1.0)


def _check_spans(spans: tuple[Span, ...], timed: int, characters: int, engine: str) -> None:
    """Check spans of a text of ``characters``; timed: number of the segment's, these included."""
    if timed > characters:
        raise EngineFailed(f"the {engine} engine timed more words than its text has characters")
    for span in spans:
        if not 0 <= span.start <= span.end <= characters or len(span.character_starts) > characters:
            raise EngineFailed(f"the {engine} engine timed words that are not in its text")
        if not all(map(math.isfinite, (span.start_s, span.end_s, *span.character_starts))):
            raise EngineFailed(f"the {engine} engine gave a time that is not finite")
