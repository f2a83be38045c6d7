"""WS /v1/realtime with llama.cpp's own server as the chat endpoint; its model is tiny."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from kani.engines.chat import endpoint as chat
from kani.engines.chat.endpoint import ChatSettings
from tests.clients.openai_realtime import Client, realtime, types
from tests.conftest import ROOT
from tests.support.chat.llama_server import ANSWER, CONTEXT, COUNT, COUNTED, KEY, MODEL
from tests.support.chat.talking import DELTAS, HEARD, TURN, done, write
from tests.support.loudness import PausingRecognizer
from tests.support.patience import WITHIN_S
from tests.support.servers.serving import serving

pytestmark = pytest.mark.server

WRITTEN = "response.output_text.delta"


@asynccontextmanager
async def llama(folder: Path) -> AsyncIterator[str]:
    module = "tests.support.chat.llama_server"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, str(folder)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        async with asyncio.timeout(WITHIN_S):
            address = (await process.stdout.readline()).decode().strip()
        assert address, "llama.cpp's server did not start"
        yield address
    finally:
        process.stdin.close()
        await process.wait()


@asynccontextmanager
async def talking(folder: Path, **environment: str) -> AsyncIterator[tuple[Client, str]]:
    """Yield a client of a server that llama.cpp answers for, and the address of that one."""
    async with llama(folder) as address:
        settings = {"KANI_LLM_URL": f"{address}/v1", "KANI_LLM_API_KEY": KEY, **environment}
        async with serving(folder, PausingRecognizer(), **settings) as server:
            async with realtime(server.url, "model=any") as client:
                yield client, address


async def get(url: str) -> Any:
    async with httpx2.AsyncClient(headers={"authorization": f"Bearer {KEY}"}) as http:
        return (await http.get(url)).raise_for_status().json()


async def writes(address: str) -> bool:
    return any(slot["is_processing"] for slot in await get(f"{address}/slots"))


async def test_speech_is_answered_by_the_only_model_that_is_listed(tmp_path: Path) -> None:
    async with talking(tmp_path) as (client, address):
        listed = (await get(f"{address}/v1/models"))["data"]
        await client.append(*TURN)
        events = await client.until("response.done")
    assert [model["id"] for model in listed] == [MODEL]
    response = events[-1]["response"]
    assert response["status"] == "completed"
    assert response["output"][0]["content"][0]["transcript"] == "".join(ANSWER)
    assert {*DELTAS} <= {*types(events)}
    # Its tokens, and the one that ends it, as llama.cpp counts them.
    assert response["usage"]["output_tokens"] == len(ANSWER) + 1
    assert response["usage"]["input_tokens"] > len(f"user: {HEARD}")


async def test_written_answer_comes_in_its_tokens_up_to_the_limit(tmp_path: Path) -> None:
    async with talking(tmp_path) as (client, _):
        await client.configure("realtime", output_modalities=["text"])
        await write(client, COUNT, max_output_tokens=6)
        events = await client.until("response.done")
    response = events[-1]["response"]
    deltas = [event["delta"] for event in events if event["type"] == WRITTEN]
    assert deltas == [COUNTED[0].lstrip(), *COUNTED[1:], *COUNTED[:2]]
    assert (response["status"], response["status_details"]["reason"]) == ("incomplete", "max_output_tokens")
    assert response["usage"]["output_tokens"] == 6


async def test_cancelled_answer_is_not_written_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "ChatSettings", partial(ChatSettings, max_characters=1_000_000))
    async with talking(tmp_path) as (client, address):
        await client.configure("realtime", output_modalities=["text"])
        await write(client, COUNT)
        await client.until(WRITTEN)
        assert await writes(address)
        await client.send("response.cancel")
        response = await done(client)
        reason = response["status_details"]["reason"]
        assert (response["status"], reason) == ("cancelled", "client_cancelled")
        async with asyncio.timeout(WITHIN_S):
            while await writes(address):
                await asyncio.sleep(0.01)
        tokens = [slot.get("n_prompt_tokens", 0) for slot in await get(f"{address}/slots")]
        assert max(tokens) < CONTEXT / 2  # its answer among them
        await write(client, "Hello.")
        assert (await done(client))["status"] == "completed"


async def test_errors_of_the_server_are_events(tmp_path: Path) -> None:
    async with talking(tmp_path) as (client, _):
        await write(client, "Hello. " * (CONTEXT // len("Hello. ") + 1))
        error = (await client.until("error"))[-1]["error"]
        assert error["code"] == "llm_refused" and "exceeds the available context size" in error["message"]
    async with talking(tmp_path, KANI_LLM_API_KEY="another") as (client, _):
        await write(client, "Hello.")
        error = (await client.until("error"))[-1]["error"]
        assert error["code"] == "llm_unauthorized" and "another" not in error["message"]
