"""Keys of ElevenLabs' clients: in headers, queries, first messages and single-use tokens."""

import asyncio
import json
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import connect

from kani.protocols.elevenlabs.http.speech import DIALOGUE_PATH as DIALOGUE
from kani.protocols.elevenlabs.realtime.connection import PATH as REALTIME
from kani.protocols.elevenlabs.single_use_tokens import LIFE_S, SingleUseTokens
from kani.protocols.elevenlabs.websocket.messages import parse_message
from tests.clients.elevenlabs.wire import Message, connect_client
from tests.protocols.bad_input import ended
from tests.protocols.elevenlabs.test_bad_messages import refused
from tests.protocols.elevenlabs.test_websocket import HELLO
from tests.support.servers.app_server import KEY, AppServer

INVALID_KEY = {"code": 1008, "error": "invalid_api_key", "message": "Invalid API key"}


@pytest.mark.parametrize("headers", [{}, {"xi-api-key": "wrong"}])
def test_request_without_key_is_401(keyed_app: AppServer, headers: dict[str, str]) -> None:
    """``test_openapi`` asks for all calls without a key."""
    with httpx2.Client(base_url=keyed_app.http_url) as client:
        answer = client.post("/v1/text-to-speech/ef_dora/stream", headers=headers, json={"text": "Hola."})
    detail = answer.json()["detail"]
    assert answer.status_code == 401 and detail["type"] == "authentication_error"
    assert (detail["code"], detail["status"]) == ("unauthorized", "invalid_api_key")
    assert detail["request_id"] == answer.headers["x-request-id"]


SPEAK = {"text": HELLO, "flush": True}


@pytest.mark.parametrize("name", ["stream-input", "multi-stream-input"])
@pytest.mark.parametrize(
    ("shown", "first", "is_right"),
    [
        *(
            (shown, SPEAK, key == KEY)
            for key in (KEY, "wrong")
            for shown in (
                *({"headers": {"xi-api-key": key}}, {"headers": {"Authorization": f"Bearer {key}"}}),
                *({"authorization": key}, {"single_use_token": key}),
            )
        ),
        *(({}, SPEAK | {field: KEY}, True) for field in ("xi_api_key", "xi-api-key")),
        ({}, SPEAK | {"authorization": f"Bearer {KEY}"}, True),
        *(({}, first, False) for first in ({"text": " "}, {"text": " ", "xi_api_key": "other"})),
        ({}, {"text": "a" * 99}, False),
    ],
)
async def test_handshake_or_first_message_contains_key(
    keyed_app: AppServer, name: str, shown: dict[str, Any], first: Message, is_right: bool
) -> None:
    async with connect_client(keyed_app.url, name, "espeak:es" if is_right else "nobody", **shown) as client:
        if is_right or not shown:
            await client.send(first, {"text": HELLO, "xi_api_key": KEY})
        if is_right:
            await client.receive_text(begin="Hola, esto es una prueba")
        else:
            assert await refused(client) == INVALID_KEY
            assert client.received().parts == []


async def test_first_message_of_a_dialogue_contains_key(keyed_app: AppServer) -> None:
    inputs = {"inputs": [{"text": "Hola.", "voice_id": "espeak:es"}]}
    for key in (KEY, "wrong"):
        url = f"{keyed_app.url}{DIALOGUE}/stream-input?model_id=eleven_v3"
        first = {"voices": ["espeak:es"], "xi_api_key": key}
        end = await ended(url, first, inputs, {"close_socket": True})
        told = json.loads(end.messages[0])
        assert "audio" in told if key == KEY else told["error"] == "invalid_api_key"


def token(server: AppServer, kind: str, **headers: str) -> httpx2.Response:
    return httpx2.post(f"{server.http_url}/v1/single-use-token/{kind}", headers=headers)


async def test_token_opens_one_session(keyed_app: AppServer) -> None:
    (told,), code, _ = await ended(f"{keyed_app.url}{REALTIME}")
    assert (json.loads(told)["message_type"], code) == ("auth_error", 1008)
    assert token(keyed_app, "realtime_scribe").status_code == 401
    known = {"xi-api-key": KEY}
    made = await asyncio.to_thread(token, keyed_app, "realtime_scribe", **known)
    other = await asyncio.to_thread(token, keyed_app, "tts_websocket", **known)
    for given, kind in ((other, "auth_error"), (made, "session_started"), (made, "auth_error")):
        async with connect(f"{keyed_app.url}{REALTIME}?token={given.json()['token']}") as websocket:
            assert json.loads(await websocket.recv())["message_type"] == kind
    made = (await asyncio.to_thread(token, keyed_app, "tts_websocket", **known)).json()["token"]
    path = f"/v1/text-to-speech/x/stream-input?single_use_token={made}"
    for message, error in (({"text": "Hello."}, "voice_id_does_not_exist"), (None, "invalid_api_key")):
        async with connect(keyed_app.url + path) as websocket:
            if message is not None:
                await websocket.send(json.dumps(message))
            assert json.loads(await websocket.recv())["error"] == error
    assert (await asyncio.to_thread(token, keyed_app, "x", **known)).status_code == 400


def test_tokens_end() -> None:
    now = [0.0]
    tokens = SingleUseTokens(lambda: now[0])
    one, two = tokens.issue("batch_scribe"), tokens.issue("batch_scribe")
    now[0] = LIFE_S - 1
    assert tokens.use("batch_scribe", one) and not tokens.use("batch_scribe", one)
    now[0] = LIFE_S
    assert not tokens.use("batch_scribe", two)


def test_a_message_shows_no_key() -> None:
    fields = {"text": "Hola.", "xi_api_key": KEY, "xi-api-key": KEY, "authorization": KEY}
    shown = repr(parse_message(json.dumps(fields)))
    assert "Hola." in shown and KEY not in shown
