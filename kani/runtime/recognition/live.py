"""Live recognition: audio as it comes in, passes as they are due, events in order."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import numpy as np

from kani.core.errors import EngineFailed
from kani.core.recognizer import Mark, RecognitionEvent
from kani.core.types import Samples
from kani.runtime.cancelling import wait_until_done
from kani.runtime.recognition.passes import PassResult
from kani.runtime.recognition.scheduler import ScheduledStream
from kani.runtime.recognition.stream import STEP_SAMPLES, RecognitionStream

# Steps of buffered audio that are processed, in 1 ms, before the event loop serves others.
_STEPS_PER_TURN = 8


async def recognize_live(
    stream: RecognitionStream,
    queued: ScheduledStream[PassResult],
    audio: AsyncIterator[Samples | Mark],
) -> AsyncGenerator[RecognitionEvent, None]:
    """Yield the events of ``stream`` for ``audio``, as ``Recognizer.recognize`` does.

    queued: the stream's entry in the queue of passes, which is closed at the end. Raises EngineFailed where a
    pass raises RuntimeError.
    """
    pieces = aiter(audio)
    incoming: asyncio.Task[Samples | Mark | None] | None = None
    result: asyncio.Future[PassResult] | None = None
    rest = np.zeros(0, np.float32)
    steps = 0
    try:
        while True:
            while stream.events:
                yield stream.events.popleft()
            if stream.finished:
                return
            if result is not None and result.done():
                stream.finish_pass(_result(result))
                result = None
                continue
            queued.urgent = stream.urgent
            if result is None and stream.pass_due:
                result = queued.request_pass()
            elif result is not None and not stream.pass_running and not stream.pass_due:
                queued.cancel()
                result = None
            if len(rest) and not stream.full:
                stream.feed(rest[:STEP_SAMPLES])
                rest = rest[STEP_SAMPLES:]
                steps += 1
                if steps % _STEPS_PER_TURN == 0:
                    await asyncio.sleep(0)
                continue
            awaited: list[asyncio.Future[Any]] = [] if result is None else [result]
            if not stream.full and not stream.audio_ended:
                incoming = incoming or asyncio.create_task(_next(pieces))
                awaited.append(incoming)
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if incoming in awaited and incoming.done():
                piece, incoming = incoming.result(), None
                match piece:
                    case None:
                        stream.end()
                    case Mark():
                        stream.add_mark(piece)
                    case _:
                        rest = piece
    finally:
        queued.close()
        if incoming is not None:
            incoming.cancel()
            await wait_until_done(incoming)


async def _next(pieces: AsyncIterator[Samples | Mark]) -> Samples | Mark | None:
    """Return the next piece, or None at the end."""
    return await anext(pieces, None)


def _result(pass_result: asyncio.Future[PassResult]) -> PassResult:
    try:
        return pass_result.result()
    except RuntimeError as error:
        raise EngineFailed("the recogniser failed") from error
