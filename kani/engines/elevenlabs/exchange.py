"""Sends text as it is written and receives messages as they come, concurrently on one stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from kani.engines.elevenlabs import messages
from kani.engines.elevenlabs.connection import UpstreamConnection
from kani.engines.elevenlabs.failures import UpstreamFailed
from kani.engines.elevenlabs.messages import Message
from kani.engines.elevenlabs.times import CharacterTimes
from kani.engines.upstream.text import SegmentText
from kani.runtime.cancelling import wait_until_done

KEEP_ALIVE_S = 5.0
"""Interval of keep-alive messages while text is awaited, in seconds.

Far below ElevenLabs' inactivity timeout: a fallback engine may have to wait as long for the end of the text.
"""


async def send_and_receive(
    connection: UpstreamConnection, text: SegmentText, times: CharacterTimes, timeout_s: float
) -> AsyncGenerator[Message, None]:
    """Send all of ``text``, from its start, and yield the messages received, up to the final one.

    times: is given the text that was sent. timeout_s: longest silence of the service once all text was sent.
    Raises UpstreamFailed.
    """
    loop = asyncio.get_running_loop()
    sent = 0
    has_audio = False
    deadline: float | None = None
    growth: asyncio.Task[None] | None = None
    incoming = asyncio.create_task(connection.receive(), name="ElevenLabs speaks")
    try:
        while True:
            if deadline is None and (growth is None or growth.done()):
                now, complete = text.text, text.complete
                times.extend_text(now)
                if len(now) > sent:
                    await connection.send(messages.add_text(now[sent:]))
                elif not complete:
                    await connection.send(messages.KEEP_ALIVE)
                sent = len(now)
                growth = text.growth(KEEP_ALIVE_S)
                if complete:
                    await connection.send(messages.END_OF_TEXT)
                    deadline = loop.time() + timeout_s
            awaited = {incoming} if growth is None else {incoming, growth}
            left_s = None if deadline is None else max(deadline - loop.time(), 0.0)
            done, _ = await asyncio.wait(awaited, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                raise UpstreamFailed("stalled", f"no sound for {timeout_s:g} s")
            if growth is not None and growth.done():
                growth.result()
            if not incoming.done():
                continue
            message = incoming.result()
            if message is None:
                if deadline is None or not has_audio or times.incomplete:
                    raise UpstreamFailed("closed_early", "closed in order, but before all text was spoken")
                return
            if message.audio:
                has_audio = True
                deadline = deadline and loop.time() + timeout_s
            yield message
            if message.final:
                return
            incoming = asyncio.create_task(connection.receive(), name="ElevenLabs speaks")
    finally:
        incoming.cancel()
        await wait_until_done(incoming)
