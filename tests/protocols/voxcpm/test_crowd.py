"""Five hundred requests over twenty connections, a third of them cancelled: each ends once, by itself."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

import pytest

from tests.clients.voxcpm.wire import Answer, opened
from tests.conftest import StartServer
from tests.protocols.health import wait_for_idle, wait_for_metrics

CONNECTIONS, EACH = 20, 25
MODES = ("streaming", "non_streaming")
# Each names its language: a text that does not tell its own has that of the connection's last text.
TEXTS = [
    ("de", "Guten Morgen, der Zug fährt heute vom anderen Gleis ab. Bitte steigen Sie hinten ein."),
    ("de", "Eins, zwei, drei, vier. Und jetzt noch einmal von vorne!"),
    ("es", "Había una vez, en un país muy lejano, una niña que vivía con su abuela cerca del bosque."),
    ("es", "Sí."),
    ("de", "Das ist ein langer Satz, der immer weitergeht, " * 8 + "und dann doch noch endet."),
    ("de", "Am 3. Mai 2024 kostete es 12,50 Euro. Danach wurde es teurer. Niemand wusste, warum."),
    ("en", "The quick brown fox 🦊 jumps over the lazy dog. " * 12),
    ("en", "…"),
]


@dataclass(frozen=True)
class Asked:
    what: int
    mode: str
    cancel_after_s: float | None


async def connection(url: str, asked: dict[str, Asked]) -> dict[str, Answer]:
    async with opened(url) as client, asyncio.TaskGroup() as group:

        async def cancel(name: str, after_s: float) -> None:
            await asyncio.sleep(after_s)
            await client.send("cancel", request_id=name)

        for name, one in asked.items():
            language, text = TEXTS[one.what]
            await client.request(name, text, language=language, mode=one.mode)
        cancels = [
            group.create_task(cancel(name, one.cancel_after_s))
            for name, one in asked.items()
            if one.cancel_after_s is not None
        ]
        answers = await client.answers(*asked)
        await asyncio.wait(cancels)
        # Nobody is answered twice: the next message is the pong.
        await client.alive()
        return answers


@pytest.mark.alone
@pytest.mark.heard
async def test_five_hundred_requests_do_not_affect_each_other(start_server: StartServer) -> None:
    dice = random.Random(1)
    server = start_server("--engine", "espeak", KANI_RECOGNIZER="none", KANI_REQUEST_TIMEOUT="0")
    alone: dict[tuple[int, str], Answer] = {}
    async with opened(server.url) as client:
        for what, (language, text) in enumerate(TEXTS):
            for mode in MODES:
                alone[what, mode] = await client.speak(text, language=language, mode=mode)
    crowd = [
        {
            f"{at}-{number}": Asked(
                dice.randrange(len(TEXTS)),
                dice.choice(MODES),
                dice.uniform(0, 5) ** 2 / 5 if dice.random() < 1 / 3 else None,
            )
            for number in range(EACH)
        }
        for at in range(CONNECTIONS)
    ]
    found = await asyncio.gather(*(connection(server.url, asked) for asked in crowd))
    cancelled = 0
    for asked, answers in zip(crowd, found, strict=True):
        for name, one in asked.items():
            answer, solo = answers[name], alone[one.what, one.mode]
            assert answer.last["type"] == "complete"
            if answer.last["result"] == {"cancelled": True}:
                assert one.cancel_after_s is not None
                cancelled += 1
                continue
            assert answer.pcm == solo.pcm and answer.spans == solo.spans
            assert answer.last["result"] == solo.last["result"]
    assert cancelled
    await wait_for_idle(server)
    await wait_for_metrics(server, "running_tasks 0.0", "queue_length 0.0", "active_connections 0.0")
