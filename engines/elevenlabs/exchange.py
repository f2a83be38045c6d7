"""Text out as it is written, messages in as they come, on one stream at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from engines.elevenlabs import messages
from engines.elevenlabs.connection import UpstreamConnection
from engines.elevenlabs.failures import UpstreamFailed
from engines.elevenlabs.messages import Message
from engines.elevenlabs.text import SegmentText
from engines.elevenlabs.times import CharacterTimes

KEEP_ALIVE_S = 5.0
"""A stream that waits for text says so this often. Far within what ElevenLabs allows: whoever stands in
may have to wait for it."""


async def send_and_receive(
    connection: UpstreamConnection, text: SegmentText, times: CharacterTimes, timeout_s: float
) -> AsyncGenerator[Message, None]:
    """Send all of ``text``, from its start, and yield what comes, until ElevenLabs says that it was all.

    times: told what was sent. timeout_s: how long nothing may come once the text was sent to its end.
    Raises UpstreamFailed.
    """
    loop = asyncio.get_running_loop()
    sent = 0
    heard = False
    due: float | None = None
    growing: asyncio.Task[None] | None = None
    incoming = asyncio.create_task(connection.receive(), name="ElevenLabs speaks")
    try:
        while True:
            if due is None and (growing is None or growing.done()):
                now, complete = text.text, text.complete
                times.extend_text(now)
                if len(now) > sent:
                    await connection.send(messages.add_text(now[sent:]))
                elif not complete:
                    await connection.send(messages.KEEP_ALIVE)
                sent = len(now)
                growing = text.growth(KEEP_ALIVE_S)
                if complete:
                    await connection.send(messages.END_OF_TEXT)
                    due = loop.time() + timeout_s
            awaited = {incoming} if growing is None else {incoming, growing}
            left_s = None if due is None else max(due - loop.time(), 0.0)
            done, _ = await asyncio.wait(awaited, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                raise UpstreamFailed("stalled", f"no sound for {timeout_s:g} s")
            if growing is not None and growing.done():
                growing.result()
            if not incoming.done():
                continue
            message = incoming.result()
            if message is None:
                if due is None or not heard or times.incomplete:
                    raise UpstreamFailed("closed_early", "closed in order, but before all was said")
                return
            if message.audio:
                heard = True
                due = due and loop.time() + timeout_s
            yield message
            if message.final:
                return
            incoming = asyncio.create_task(connection.receive(), name="ElevenLabs speaks")
    finally:
        incoming.cancel()
        await asyncio.wait([incoming])
        if not incoming.cancelled():
            # Asked, or asyncio would log what nobody looked at.
            incoming.exception()
