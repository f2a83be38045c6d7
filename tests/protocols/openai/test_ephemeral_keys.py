"""Ephemeral keys of Realtime: the sessions that they open, their end, and their number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from kani.protocols.openai.realtime.client_secrets import EphemeralKeys
from kani.protocols.openai.realtime.session_config import FORMATS, SessionConfig, Transcription
from tests.clients.openai_realtime import realtime
from tests.support.app_server import KEY, AppServer, StartApp


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("client_secrets", {"session": {"type": "transcription"}, "expires_after": {"seconds": 60}}),
        ("client_secrets", {"session": {"type": "realtime", "model": "gpt-realtime"}}),
        ("client_secrets", {}),
        ("sessions", {"model": "gpt-realtime", "voice": "marin", "modalities": ["audio", "text"]}),
        ("transcription_sessions", {"input_audio_format": "g711_ulaw"}),
    ],
)
async def test_ephemeral_key_opens_the_session_that_it_was_made_for(
    start_app: StartApp, path: str, body: dict[str, Any]
) -> None:
    app = start_app(KANI_HOST="0.0.0.0", KANI_API_KEYS=KEY)
    async with httpx.AsyncClient(base_url=f"{app.http_url}/v1") as http:
        refused = await http.post(f"/realtime/{path}", json=body)
        assert refused.status_code == 401 and refused.json()["error"]["code"] == "invalid_api_key"
        made = await http.post(f"/realtime/{path}", json=body, headers={"Authorization": f"Bearer {KEY}"})
        secret = made.json() if path == "client_secrets" else made.json()["client_secret"]
        key = {"Authorization": f"Bearer {secret['value']}"}
        assert secret["value"].startswith("ek_")
        # It opens sessions, and nothing else.
        assert (await http.post(f"/realtime/{path}", json=body, headers=key)).status_code == 401
        assert (await http.get("/voices", headers=key)).status_code == 401
    async with realtime(app.url, "", additional_headers=key) as client:
        session = client.seen[0]["session"]
    async with realtime(app.url, f"token={secret['value']}") as client:
        by_address = client.seen[0]["session"]
    assert {**by_address, "id": "", "expires_at": 0} == {**session, "id": "", "expires_at": 0}
    made_session = made.json()["session"] if path == "client_secrets" else made.json()
    assert session["object"] == made_session["object"]
    if body.get("input_audio_format"):
        assert session["audio"]["input"]["format"] == {"type": "audio/pcmu"}
    if body.get("voice"):
        assert session["audio"]["output"]["voice"] == "marin"


async def test_invalid_body_of_an_ephemeral_key_is_refused(app: AppServer) -> None:
    rows: list[tuple[str, Any, str | None]] = [
        ("client_secrets", {"expires_after": {"seconds": 9}}, "expires_after.seconds"),
        ("client_secrets", {"expires_after": {"seconds": 7201}}, "expires_after.seconds"),
        ("client_secrets", {"session": {"audio": {"output": {"speed": 9}}}}, "session.audio.output.speed"),
        ("client_secrets", {"session": {"tools": [{}]}}, "session.tools"),
        ("transcription_sessions", {"input_audio_format": "mp3"}, "input_audio_format"),
        ("sessions", "no object", None),
    ]
    async with httpx.AsyncClient(base_url=f"{app.http_url}/v1/realtime") as http:
        for path, body, param in rows:
            answer = await http.post(f"/{path}", json=body)
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), body
        answer = await http.post("/client_secrets", content=b"{" + b" " * 70_000)
        assert answer.status_code == 413


def test_ephemeral_keys_expire_and_cannot_be_made_elsewhere() -> None:
    now = 1000.0
    keys = EphemeralKeys(lambda: now)
    key = keys.issue(SessionConfig(), 10).value
    changed = [key[:at] + ("A" if key[at] != "A" else "B") + key[at + 1 :] for at in range(len(key))]
    for wrong in (*changed, key + "0", key + "=", key[:-1], f"{key}é", "ek_", "ek_A", "ek_" + "A" * 100, ""):
        assert not keys.is_valid(wrong), wrong
    assert keys.is_valid(key) and not EphemeralKeys(lambda: now).is_valid(key)
    now += 10
    assert not keys.is_valid(key)


def test_ephemeral_key_holds_the_longest_configuration() -> None:
    keys = EphemeralKeys()
    longest = "\N{MUSICAL SYMBOL G CLEF}" * 200
    config = replace(
        SessionConfig(), model=longest, voice=longest, transcription=Transcription(longest, "es")
    )
    key = keys.issue(replace(config, output_format=FORMATS["audio/pcmu"], turn_detection=None), 10)
    assert keys.find(key.value) == key.config
    # A header takes 64 KiB.
    assert len(key.value) < 8192


async def test_keys_of_one_client_leave_keys_for_others(app: AppServer) -> None:
    async with httpx.AsyncClient(base_url=f"{app.http_url}/v1/realtime") as http:
        made = [await http.post("/client_secrets", json={}) for _ in range(1001)]
    assert {answer.status_code for answer in made} == {200}
    assert len({answer.json()["value"] for answer in made}) == len(made)
