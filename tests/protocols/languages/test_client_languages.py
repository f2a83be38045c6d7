"""The language that a request without one is spoken in, by every protocol: the text's, or its client's."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect

from kani.protocols.shared.client_languages import (
    MAX_HEADER_LENGTH,
    MAX_LANGUAGES,
    MAX_TAG_LENGTH,
    accept_languages,
    languages_error,
)
from tests.clients.kyutai.wire import KEY, pack
from tests.clients.voxcpm.wire import opened
from tests.conftest import ServerProcess
from tests.support.app_server import AppServer

Say = Callable[[ServerProcess, str, Mapping[str, str]], Awaitable[None]]

LONGEST_WAIT_S = 120.0


async def last(socket: ClientConnection) -> None:
    async for _ in socket:
        pass


async def kani(server: AppServer, text: str, headers: Mapping[str, str]) -> None:
    async with connect(server.url, additional_headers=headers) as socket:
        await socket.send(json.dumps({"type": "tts_request", "data": {"text": text}}))
        assert json.loads(await socket.recv())["data"]["status"] == "success"


async def kani_rest(server: AppServer, text: str, headers: Mapping[str, str]) -> None:
    await post(f"{server.http_url}/tts", {"text": text}, headers)


async def voxcpm(server: AppServer, text: str, headers: Mapping[str, str]) -> None:
    async with opened(server.url, additional_headers=headers) as client:
        assert (await client.speak(text, mode="non_streaming")).last["type"] == "complete"


async def elevenlabs(server: AppServer, text: str, headers: Mapping[str, str]) -> None:
    url = f"{server.http_url}/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM?output_format=pcm_16000"
    await post(url, {"text": text}, headers)


async def elevenlabs_websocket(server: AppServer, text: str, headers: Mapping[str, str]) -> None:
    path = "/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM/stream-input?output_format=pcm_16000"
    async with connect(f"{server.url}{path}", additional_headers=headers) as socket:
        for piece in (" ", f"{text} ", ""):
            await socket.send(json.dumps({"text": piece}))
        await last(socket)


async def kyutai(server: AppServer, text: str, headers: Mapping[str, str]) -> None:
    url = f"{server.url}/api/tts_streaming?format=PcmMessagePack"
    async with connect(url, additional_headers={**KEY, **headers}) as socket:
        for word in text.split():
            await socket.send(pack({"type": "Text", "text": word}))
        await socket.send(pack({"type": "Eos"}))
        await last(socket)


async def kyutai_http(server: AppServer, text: str, headers: Mapping[str, str]) -> None:
    await post(f"{server.http_url}/api/tts_streaming", {"text": text, "voice": ""}, {**KEY, **headers})


async def relay(server: AppServer, text: str, headers: Mapping[str, str]) -> None:
    async with connect(f"{server.url}/stream_tts", additional_headers=headers) as socket:
        await socket.send(json.dumps({"action": "start_tts", "text": text}))
        while json.loads(await socket.recv())["type"] != "complete":
            pass


async def post(url: str, body: Mapping[str, str], headers: Mapping[str, str]) -> None:
    async with httpx.AsyncClient(timeout=LONGEST_WAIT_S) as client:
        answer = await client.post(url, json=body, headers=headers)
    assert answer.status_code == 200, answer.text


PROTOCOLS = (kani, kani_rest, voxcpm, elevenlabs, elevenlabs_websocket, kyutai, kyutai_http, relay)


async def spoken_language(
    server: AppServer,
    caplog: pytest.LogCaptureFixture,
    say: Say,
    text: str,
    headers: Mapping[str, str] | None = None,
) -> str:
    def languages() -> list[str]:
        return re.findall(r"outcome=completed .*language=(\S+)", caplog.text)

    caplog.set_level(logging.INFO)
    before = len(languages())
    async with asyncio.timeout(LONGEST_WAIT_S):
        await say(server, text, headers or {})
        while len(languages()) == before:
            await asyncio.sleep(0.01)
    return languages()[-1].partition("-")[0]


@pytest.mark.parametrize("say", PROTOCOLS)
async def test_clear_text_is_spoken_in_its_language(
    espeak_app: AppServer, caplog: pytest.LogCaptureFixture, say: Say
) -> None:
    assert await spoken_language(espeak_app, caplog, say, "Hello world!") == "en"
    assert await spoken_language(espeak_app, caplog, say, "Guten Morgen") == "de"


@pytest.mark.parametrize("say", PROTOCOLS)
async def test_unclear_text_is_spoken_in_client_language(
    espeak_app: AppServer, caplog: pytest.LogCaptureFixture, say: Say
) -> None:
    default = "es" if say in (kani, kani_rest) else "en"
    assert await spoken_language(espeak_app, caplog, say, "OK 3") == default
    french = {"accept-language": "tlh-x;q=0.1, fr-CA,fr;q=0.9,*;q=0.5"}
    assert await spoken_language(espeak_app, caplog, say, "OK 3", french) == "fr"
    assert await spoken_language(espeak_app, caplog, say, "¿Dónde está la biblioteca?", french) == "es"
    assert await spoken_language(espeak_app, caplog, say, "OK 3", {"accept-language": "*"}) == default


async def test_languages_field_precedes_header(espeak_app: AppServer) -> None:
    german = {"accept-language": "de"}
    async with connect(espeak_app.url, additional_headers=german) as socket:

        async def kani_answer(**config: object) -> dict[str, object]:
            data = {"text": "OK 3", "config": config}
            await socket.send(json.dumps({"type": "tts_request", "data": data}))
            answer: dict[str, object] = json.loads(await socket.recv())["data"]
            return answer

        answer = await kani_answer(languages=["xx", "fr-CA", "en"])
        assert answer["metadata"]["language"] == "french" and not answer["metadata"]["unused"]
        assert (await kani_answer(languages=[]))["metadata"]["language"] == "german"
        assert (await kani_answer(languages=None))["metadata"]["language"] == "german"
        assert (await kani_answer(languages="fr"))["message"].startswith("languages: ")
        too_many = f"languages: too many (at most {MAX_LANGUAGES})"
        assert (await kani_answer(languages=["fr"] * 99))["message"] == too_many
    async with opened(espeak_app.url, additional_headers=german) as client:

        async def voxcpm_answer(languages: object) -> dict[str, object]:
            return (await client.speak("OK 3", mode="non_streaming", languages=languages)).last

        answer = await voxcpm_answer(["it", "fr"])
        assert answer["result"]["language"] == "it" and "languages" not in answer["result"]["unused"]
        assert (await voxcpm_answer(None))["result"]["language"] == "de"
        errors = (await voxcpm_answer([1]))["error"]["details"]["errors"]
        assert errors == {"languages": "must be a list of strings"}


@pytest.mark.parametrize(
    ("header", "languages"),
    [
        ("en-US,en;q=0.9,es;q=0.8", ("en-US", "en", "es")),
        ("es;q=0.3, de ; q=0.7, fr", ("fr", "de", "es")),
        ("*", ()),
        ("", ()),
        ("*;q=0.5, zh-Hant-TW", ("zh-Hant-TW",)),
        ("de;q=0, en;q=2, fr;q=x, it;q=-1, pt;level=1", ("pt",)),
        ("klingonese, xx, ;;;,,=, no", ("nb",)),
        ("de,de,DE", ("de",)),
        ("en;q=0.1," * 200 + "de", ("en",)),
    ],
)
def test_accept_language_is_read_within_limits(header: str, languages: tuple[str, ...]) -> None:
    assert accept_languages({"accept-language": header}) == languages


@given(st.text(max_size=MAX_HEADER_LENGTH * 2))
def test_any_header_gives_bounded_list(header: str) -> None:
    assert len(accept_languages({"accept-language": header})) <= MAX_LANGUAGES


def test_invalid_languages_field_is_refused() -> None:
    assert languages_error(["en", "x" * MAX_TAG_LENGTH]) is None
    assert languages_error({"en": 1}) == languages_error(["en", 5]) == "must be a list of strings"
    assert languages_error(["en"] * (MAX_LANGUAGES + 1)) == "too many (at most 20)"
    assert languages_error(["x" * (MAX_TAG_LENGTH + 1)]) == "too long (at most 35 characters each)"
