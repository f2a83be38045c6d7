"""WS /v1/realtime with a language model: the user goes on before the answer has sounded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.clients.openai_realtime import loud, quiet, realtime, text_item, types
from tests.support.chat.endpoint import Answer, chat_endpoint, say
from tests.support.loudness import PausingRecognizer
from tests.support.patience import WITHIN_S
from tests.support.serving import serving

WORDS = (*"¿Qué hora es en Lima?".split(), "", "", "", *"¿Y en La Paz hoy?".split())
"""Steps of the recogniser: the voice that goes on has no words at first."""
FIRST, JOINED = "¿Qué hora es en Lima?", "¿Qué hora es en Lima?\n¿Y en La Paz hoy?"
DELTAS = {"response.output_audio.delta", "response.output_audio_transcript.delta"}
SYSTEM = ("system", "Be brief.")


@pytest.mark.parametrize("early", ["true", "false"])
@pytest.mark.parametrize("detection", ["server_vad", "semantic_vad"])
@pytest.mark.parametrize("written", [False, True], ids=["asked", "written"])
async def test_answer_that_has_not_sounded_leaves_no_trace(
    tmp_path: Path, written: bool, detection: str, early: str
) -> None:
    def script(body: dict[str, object]) -> Answer:
        if len(endpoint.requests) == 1:
            return say("Nunca jamás. Y nunca más.", holds={4 if written else 0: asyncio.Event()})
        return say("vale.")

    environment = {"KANI_LLM_INSTRUCTIONS": SYSTEM[1], "KANI_LLM_EARLY": early}
    async with chat_endpoint(script) as endpoint:
        environment["KANI_LLM_URL"] = endpoint.url
        async with serving(tmp_path, PausingRecognizer(words=WORDS), **environment) as server:
            server.engine.allow = 0
            async with realtime(server.url, "model=any") as client:
                given = {"transcription": {"language": "es"}, "turn_detection": {"type": detection}}
                await client.configure("realtime", audio={"input": given})
                await client.append(quiet(0.4), loud(0.4), quiet(1.6))
                await client.until("response.created")
                if written:
                    await client.until("response.content_part.added")
                async with asyncio.timeout(WITHIN_S):
                    while not endpoint.requests or (written and not server.engine.segments):
                        await asyncio.sleep(0.005)
                    # At once: before a word, and with less voice than interrupts an answer that is heard.
                    await client.append(loud(0.24))
                    dropped = (await client.until("response.done"))[-1]["response"]
                    await endpoint.closed.wait()
                    server.engine.allow = None
                    server.engine.moved.set()
                    await client.append(loud(0.4), quiet(1.6))
                    answered = (await client.until("response.done"))[-1]["response"]
                await client.send("conversation.item.create", item=text_item("¿Y?"))
                await client.send("response.create")
                await client.until("response.done")
    assert dropped["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert not DELTAS & {*types(client.seen[: client.seen.index(client.of("response.done")[0])])}
    assert answered["output"][0]["content"][0]["transcript"] == "vale."
    later = [SYSTEM, ("user", JOINED), ("assistant", "vale."), ("user", "¿Y?")]
    assert endpoint.said == [[SYSTEM, ("user", FIRST)], [SYSTEM, ("user", JOINED)], later]
