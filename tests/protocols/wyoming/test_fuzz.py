"""Wrong events to a server that serves another client undisturbed."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
from contextlib import suppress
from typing import Any

import psutil
import pytest

from kani.protocols.wyoming.framing import Event
from tests.fuzzing.mutator import Mutator
from tests.protocols.conftest import Serve
from tests.protocols.wyoming.exchange import steps
from tests.protocols.wyoming.home_assistant import HOST, get_tts_audio

INPUTS = int(os.environ.get("WYOMING_FUZZ_INPUTS", "600"))
TOGETHER = 8

FORM = {"rate": 16_000, "width": 2, "channels": 1, "timestamp": None}
SAMPLES: tuple[tuple[dict[str, Any], bytes], ...] = (
    ({"type": "describe"}, b""),
    ({"type": "ping", "data": {"text": "a"}}, b""),
    ({"type": "synthesize", "data": {"text": "uno dos.", "voice": {"name": "tone_es"}}}, b""),
    ({"type": "synthesize-start", "data": {"voice": {"language": "es"}, "context": {}}}, b""),
    ({"type": "synthesize-chunk", "data": {"text": "tres "}}, b""),
    ({"type": "synthesize-stop"}, b""),
    ({"type": "transcribe", "data": {"language": "es", "vad_sensitivity": "default"}}, b""),
    ({"type": "audio-start", "data": FORM}, b""),
    ({"type": "audio-chunk", "data": FORM}, steps(True)[0]),
    ({"type": "audio-stop", "data": {"timestamp": 1}}, b""),
)


def right(number: int) -> bytes:
    """Sample ``number``: in a row they are a client's ordinary events."""
    header, payload = SAMPLES[number % len(SAMPLES)]
    return Event(header["type"], header.get("data", {}), payload).pack()


def wrong(mutator: Mutator, number: int) -> bytes:
    """A mutated header, data in a piece of its own, or a mutated event as bytes."""
    header, payload = SAMPLES[number % len(SAMPLES)]
    if number % 3 == 0:
        return mutator.bytes(right(number))
    mutated = mutator.object({**header, "payload_length": len(payload)})
    if number % 3 == 1 or not isinstance(mutated, dict):
        return json.dumps(mutated).encode() + b"\n" + payload
    data = json.dumps(mutated.pop("data", None)).encode()
    length = {"data_length": len(data)}
    return json.dumps(mutated | length).encode() + b"\n" + data + payload


async def attack(port: int, seed: int, inputs: int) -> None:
    """Send right and wrong events, each connection up to its error; abort every other one."""
    mutator = Mutator(f"wyoming {seed}")
    sent = 0
    place = seed
    while sent < inputs:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection(HOST, port)
            reading = asyncio.create_task(reader.read())
            with suppress(OSError):
                while sent < inputs and not reading.done():
                    place += 1
                    is_wrong = mutator.sometimes()
                    sent += is_wrong
                    writer.write(wrong(mutator, place) if is_wrong else right(place))
                    await writer.drain()
                    await asyncio.sleep(0)
            if sent % 2:
                writer.transport.abort()
            else:
                writer.write_eof()
            with suppress(OSError):
                await reading
            writer.close()


async def test_wrong_events_disturb_no_other_client(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = await serve()
    port = server.streams["Wyoming"]
    expected = await get_tts_audio(port, "hola mundo", "tone_es")
    attacks = asyncio.gather(*(attack(port, seed, INPUTS // TOGETHER) for seed in range(TOGETHER)))
    process, sizes, spoken = psutil.Process(), [], 0
    while not attacks.done():
        assert await get_tts_audio(port, "hola mundo", "tone_es") == expected
        spoken += 1
        sizes.append(process.memory_info().rss / 2**20)
    await attacks
    while server.engine.under_way:
        await asyncio.sleep(0.001)
    gc.collect()
    half = len(sizes) // 2
    print(f"{INPUTS} inputs, {spoken} texts meanwhile; MiB: {sizes[0]:.0f} {sizes[half]:.0f} {sizes[-1]:.0f}")
    assert not [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]
    assert sizes[-1] - sizes[half] < 32
    assert await get_tts_audio(port, "hola mundo", "tone_es") == expected
