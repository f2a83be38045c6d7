"""WS /v1/realtime with a language model: answers that are begun in a pause."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from kani.core.recognizer import Mark, RecognitionEvent, RecognizedWord, Recognizer
from kani.core.types import Samples
from tests.clients.openai_realtime import loud, quiet, realtime, text_item, types
from tests.support.chat.endpoint import Answer, ChatEndpoint, Script, chat_endpoint, say
from tests.support.loudness import PausingRecognizer
from tests.support.patience import WITHIN_S
from tests.support.serving import InProcessServer, serving

SENTENCE = quiet(0.4), loud(0.4)  # "w0 w1 w2 w3 w4."
PAUSE = quiet(0.32)
"""Shorter than the silence that ends a turn."""

REST = quiet(0.48)
SYSTEM = ("system", "Be brief.")
HEARD = ("user", "w0 w1 w2 w3 w4.")
WHOLE = ("user", "w0 w1 w2 w3 w4. w5 w6 w7 w8 w9.")


@asynccontextmanager
async def talking(
    folder: Path, script: Script, recognizer: Recognizer | None = None, **environment: str
) -> AsyncIterator[tuple[InProcessServer, ChatEndpoint]]:
    async with chat_endpoint(script) as endpoint:
        environment = {"KANI_LLM_URL": endpoint.url, "KANI_LLM_INSTRUCTIONS": "Be brief.", **environment}
        async with serving(folder, recognizer or PausingRecognizer(), **environment) as server:
            yield server, endpoint


async def happens(what: Callable[[], object]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not what():
            await asyncio.sleep(0.005)


async def counted(server: InProcessServer) -> dict[str, float]:
    async with httpx.AsyncClient() as http:
        lines = (await http.get(f"{server.http_url}/metrics")).text.splitlines()
    found = {}
    for line in lines:
        if line.startswith("kani_early_answers_total{"):
            labels, value = line.rsplit(" ", 1)
            found[labels.split('outcome="')[1].split('"')[0]] = float(value)
    return found


@pytest.mark.parametrize("modality", ["audio", "text"])
async def test_answer_is_ready_when_the_turn_ends(tmp_path: Path, modality: str) -> None:
    async with talking(tmp_path, lambda _: say("uno dos tres.")) as (server, endpoint):
        async with realtime(server.url, "m=m") as client:
            await client.configure("realtime", output_modalities=[modality])
            await client.append(*SENTENCE, PAUSE)
            # Asked, and spoken, 0.2 s of silence before the turn ends.
            await happens(lambda: endpoint.requests)
            if modality == "audio":
                await happens(lambda: server.engine.segments)
            begun = await client.until("input_audio_buffer.speech_started")
            await client.append(REST)
            events = begun + await client.until("response.done")
        assert await counted(server) == {"started": 1, "used": 1}
    assert types(events).index("input_audio_buffer.committed") < types(events).index("response.created")
    assert types(events)[1] == "input_audio_buffer.speech_stopped"
    content = events[-1]["response"]["output"][0]["content"][0]
    assert content.get("transcript", content.get("text")) == "uno dos tres."
    assert events[-1]["response"]["usage"]["total_tokens"] == 18
    assert endpoint.said == [[SYSTEM, HEARD]]


async def test_speaker_who_goes_on_hears_nothing_of_it(tmp_path: Path) -> None:
    never = say("Nunca jamás en la vida. Y nunca más.", holds={6: asyncio.Event()})
    answers = iter([never, say("vale."), say("bien.")])
    async with talking(tmp_path, lambda _: next(answers)) as (server, endpoint):
        async with realtime(server.url, "m=m") as client:
            await client.append(*SENTENCE, PAUSE)
            await happens(lambda: server.engine.segments)
            await client.append(loud(0.4))
            await asyncio.wait_for(endpoint.closed.wait(), WITHIN_S)
            await happens(lambda: not server.engine.under_way)
            # Audio comes faster than it is spoken: the turn ends only after its answer was begun early.
            await client.append(PAUSE)
            await happens(lambda: len(endpoint.said) == 2)
            await client.append(REST)
            done = (await client.until("response.done"))[-1]["response"]
            await client.send("conversation.item.create", item=text_item("¿Y?"))
            await client.send("response.create")
            await client.until("response.done")
        assert await counted(server) == {"started": 2, "dropped": 1, "used": 1}
    assert done["output"][0]["content"][0]["transcript"] == "vale."
    assert types(client.seen).count("response.created") == 2
    assert "Nunca" not in str(client.seen)
    later = [SYSTEM, WHOLE, ("assistant", "vale."), ("user", "¿Y?")]
    assert endpoint.said == [[SYSTEM, HEARD], [SYSTEM, WHOLE], later]


async def test_without_the_setting_nothing_is_asked_before_the_end(tmp_path: Path) -> None:
    async with talking(tmp_path, lambda _: say("vale."), KANI_LLM_EARLY="false") as (server, endpoint):
        async with realtime(server.url, "m=m") as client:
            await client.append(*SENTENCE, PAUSE, loud(0.4), quiet(0.8))
            await client.until("response.done")
        assert await counted(server) == {}
    assert endpoint.said == [[SYSTEM, WHOLE]]


class LastWord(PausingRecognizer):
    """Decides one more word once the turn has ended."""

    async def recognize(
        self, audio: AsyncIterator[Samples | Mark], language: str | None
    ) -> AsyncGenerator[RecognitionEvent, None]:
        async for event in super().recognize(audio, language):
            if isinstance(event, Mark):
                yield RecognizedWord("más", 0.7, 0.8, "en")
            yield event


@pytest.mark.parametrize("change", ["words", "instructions"])
async def test_answer_to_anything_else_is_not_used(tmp_path: Path, change: str) -> None:
    answers = iter([say("nunca."), say("vale.")])
    recognizer = LastWord() if change == "words" else None
    async with talking(tmp_path, lambda _: next(answers), recognizer) as (server, endpoint):
        async with realtime(server.url, "m=m") as client:
            await client.append(*SENTENCE, PAUSE)
            await happens(lambda: server.engine.segments)
            if change == "instructions":
                await client.configure("realtime", instructions="Sé breve.")
            await client.append(REST)
            done = (await client.until("response.done"))[-1]["response"]
        assert (await counted(server))["dropped"] == 1
    assert done["output"][0]["content"][0]["transcript"] == "vale."
    last = [SYSTEM, ("user", f"{HEARD[1]} más")] if change == "words" else [("system", "Sé breve."), HEARD]
    assert endpoint.said == [[SYSTEM, HEARD], last]


async def test_failure_of_an_early_request_is_no_failure_of_the_answer(tmp_path: Path) -> None:
    answers = iter([Answer(status=429, error={}), say("vale.")])
    async with talking(tmp_path, lambda _: next(answers)) as (server, endpoint):
        async with realtime(server.url, "m=m") as client:
            await client.append(*SENTENCE, PAUSE)
            await happens(lambda: endpoint.requests)
            await client.append(REST)
            assert (await client.until("response.done"))[-1]["response"]["status"] == "completed"
    assert not client.of("error") and endpoint.said == [[SYSTEM, HEARD]] * 2


async def test_client_that_leaves_in_the_pause_ends_the_request(tmp_path: Path) -> None:
    def script(_: dict[str, Any]) -> Answer:
        return say("uno dos.", holds={1: asyncio.Event()})

    async with talking(tmp_path, script) as (server, endpoint):
        async with realtime(server.url, "m=m") as client:
            await client.append(*SENTENCE, PAUSE)
            await happens(lambda: endpoint.requests)
        await asyncio.wait_for(endpoint.closed.wait(), WITHIN_S)
        await happens(lambda: not server.engine.under_way)
