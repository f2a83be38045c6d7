"""A crowd of every protocol's clients, a third of which leave: each other one hears what it hears by itself.

``test_interruption`` has what each of those that leave might leave over.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.clients.kyutai.speaking import say as kyutai
from tests.clients.openai_realtime import loud, quiet
from tests.protocols.health import wait_for_idle
from tests.protocols.languages.speakers import ALL, IN_PIECES, Place, Speak, elevenlabs_contexts
from tests.protocols.listening import doors
from tests.protocols.listening.doors import opened
from tests.support.loudness import PausingRecognizer

CROWD = 100
SPEAKERS = (*(speak for speak in ALL if speak not in IN_PIECES), elevenlabs_contexts)
"""Those to which a text is sent at once, so that nothing depends on when its pieces come."""
TEXTS = ("Sure.", "One two three four.", "Tomorrow we all go to the market. And then we go home.")
LISTENERS = (
    *(doors.openai_transcription, doors.elevenlabs, doors.kyutai_recording, doors.kyutai_socket),
    *(doors.realtime_transcription, doors.wyoming, doors.elevenlabs_realtime),
)
SOUNDS = [np.concatenate([quiet(0.5), loud(seconds), quiet(2.0)]) for seconds in (0.4, 0.8, 1.2)]


async def test_each_of_a_crowd_hears_what_it_hears_by_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path, PausingRecognizer()) as house:
        server, dice = house.server, random.Random(1)
        place = Place(server.url, server.http_url, server.streams["Wyoming"])

        async def spoken(speak: Speak, text: str) -> bytes:
            # Where the end of a flushed context comes late, a pause follows its last word.
            return np.trim_zeros((await speak(place, [text])).samples, "b").tobytes()

        async def spoken_by_kyutai(text: str) -> bytes:
            return (await kyutai(server, text)).samples.tobytes()  # type: ignore[arg-type]

        asks: list[Callable[[], Awaitable[object]]] = [
            *(partial(spoken, speak, text) for speak in SPEAKERS for text in TEXTS),
            *(partial(spoken_by_kyutai, text) for text in TEXTS),
            *(partial(listen, house, sound, ()) for listen in LISTENERS for sound in SOUNDS),
        ]
        alone = [await ask() for ask in asks]
        chosen = [dice.randrange(len(asks)) for _ in range(CROWD)]
        crowd = [asyncio.ensure_future(asks[number]()) for number in chosen]
        for client in crowd:
            if dice.random() < 1 / 3:
                await asyncio.sleep(dice.uniform(0, 0.02))
                client.cancel()
        answers = await asyncio.gather(*crowd, return_exceptions=True)
        stayed = [number for number, client in enumerate(crowd) if not client.cancelled()]
        assert CROWD / 2 < len(stayed) < CROWD
        for number in stayed:
            assert answers[number] == alone[chosen[number]], asks[chosen[number]]
        await wait_for_idle(server)  # type: ignore[arg-type]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
