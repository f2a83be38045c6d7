"""WS /v1/realtime: fields of the session, invalid events, each with its error, and ephemeral keys."""

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.exceptions import ConnectionClosedError

from kani.protocols.openai.realtime.client_events import MAX_AUDIO_BYTES
from kani.protocols.openai.realtime.client_secrets import EphemeralKeys
from kani.protocols.openai.realtime.session_config import FORMATS, SessionConfig, Transcription
from tests.clients.openai_realtime import BETA, Client, loud, quiet, realtime, text_item
from tests.support.chat.talking import done
from tests.support.loudness import PausingRecognizer
from tests.support.servers.app_server import KEY, AppServer, StartApp, app_server
from tests.support.servers.serving import serving
from tests.support.tables import raw_rows

MAX_TEXT = 200


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    with app_server(tmp_path_factory.mktemp("realtime"), KANI_MAX_TEXT=str(MAX_TEXT)) as running:
        running.service.recognition.recognizer = PausingRecognizer()
        yield running


async def test_absent_fields_stay_and_null_turns_off(speaker: Client) -> None:
    assert speaker.seen[0]["session"]["model"] == "gpt-realtime"
    assert speaker.seen[0]["session"]["object"] == "realtime.session"
    detection = {"type": "server_vad", "threshold": 0.7}
    await speaker.configure("realtime", audio={"input": {"turn_detection": detection}})
    changed = {"input": {"transcription": {"model": "m"}}, "output": {"voice": "marin", "speed": 1.5}}
    audio = (await speaker.configure("realtime", audio=changed, unknown=1))["session"]["audio"]
    assert audio["input"]["turn_detection"]["threshold"] == 0.7
    assert audio["input"]["transcription"]["model"] == "m"
    assert (audio["output"]["voice"], audio["output"]["speed"]) == ("marin", 1.5)
    off = {"input": {"transcription": None, "turn_detection": None}, "output": {"speed": None}}
    audio = (await speaker.configure("realtime", audio=off))["session"]["audio"]
    assert audio["input"]["turn_detection"] is None and audio["input"]["transcription"] is None
    assert (audio["output"]["voice"], audio["output"]["speed"]) == ("marin", 1.0)


async def test_refused_fields_cost_no_others(speaker: Client) -> None:
    audio_input = {
        "format": {"type": "audio/pcm", "rate": 16_000},
        "transcription": {"model": "m", "languages": ["es", "xx"]},
        "turn_detection": {"type": "semantic_vad", "eagerness": "enormous", "create_response": False},
    }
    session = {
        "type": "realtime",
        "instructions": "Be kind.",
        "tools": [{"type": "function", "name": "weather"}],
        "tool_choice": "auto",
        "output_modalities": ["text"],
        "audio": {"input": audio_input, "output": {"voice": "marin", "speed": 9, "format": None}},
    }
    await speaker.send("session.update", event_id="mine", session=session)
    *errors, updated = await speaker.until("session.updated")
    assert {error["type"] for error in errors} == {"error"}
    assert {error["error"]["event_id"] for error in errors} == {"mine"}
    assert {error["error"]["param"] for error in errors} == {
        "session.tools",
        "session.output_modalities",
        "session.audio.input.format.rate",
        "session.audio.input.transcription.languages",
        "session.audio.input.turn_detection.eagerness",
        "session.audio.output.speed",
    }
    audio = updated["session"]["audio"]
    assert (audio["output"]["voice"], audio["output"]["speed"]) == ("marin", 1.0)
    assert audio["input"]["transcription"]["model"] == "m"
    assert audio["input"]["format"] == {"type": "audio/pcm", "rate": 24_000}
    in_force = audio["input"]["turn_detection"]
    assert (in_force["type"], in_force["eagerness"]) == ("semantic_vad", "auto")
    assert in_force["create_response"] is False


async def test_refused_fields_of_the_beta_cost_no_others(app: AppServer) -> None:
    async with realtime(app.url, "model=gpt-realtime", additional_headers=BETA) as client:
        transcription = {"model": "m", "language": "xx"}
        session = {"voice": "marin", "speed": 9, "input_audio_transcription": transcription}
        await client.send("session.update", session=session)
        *errors, updated = await client.until("session.updated")
        params = ["session.speed", "session.input_audio_transcription.language"]
        assert [error["error"]["param"] for error in errors] == params
        assert updated["session"]["voice"] == "marin"
        assert updated["session"]["input_audio_transcription"]["model"] == "m"


def at(path: str, value: Any, **beside: Any) -> dict[str, Any]:
    """An object with a value at this place."""
    name, _, rest = path.partition(".")
    return {**beside, name: at(rest, value) if rest else value}


def transcription(**fields: Any) -> dict[str, Any]:
    session = at("audio.input.transcription", fields, type="transcription")
    return {"type": "session.update", "session": session}


def create(content: Any) -> dict[str, Any]:
    return {"type": "response.create", "response": {"input": content}}


def item(**fields: Any) -> dict[str, Any]:
    return {"type": "conversation.item.create", "item": fields}


def append(data: bytes) -> dict[str, Any]:
    return {"type": "input_audio_buffer.append", "audio": base64.b64encode(data).decode()}


TRANSCRIPTION = "session.audio.input.transcription"
LONG_CONTENT = {"type": "message", "content": [{"type": "text"}] * 65}
NO_EVENTS = ("no json", "[]", "null", '{"type": NaN}', "[" * 100_000, b"\x00\x01")
ROWS: list[tuple[Any, str, str | None]] = [
    *((event, "invalid_json", None) for event in NO_EVENTS),
    ('{"type": "response.create", "x": [' + "1," * 100_001 + "1]}", "invalid_json", None),
    (append(bytes(MAX_AUDIO_BYTES + 3)), "audio_too_large", "audio"),
    *(
        (transcription(**{name: value}), "invalid_value", f"{TRANSCRIPTION}.{told}")
        for name, value, told in (
            ("model", "x" * 201, "model"),
            ("prompt", "x" * 4_001, "prompt"),
            ("keywords", ["x"] * 1_001, "keywords"),
            ("keywords", ["x" * 101], "keywords"),
            ("languages", ["es"] * 21, "languages"),
        )
    ),
    (create([text_item("x")] * 257), "invalid_value", "response.input"),
    (create([text_item("x" * (MAX_TEXT + 1))]), "string_above_max_length", "response.input"),
    (create([LONG_CONTENT]), "invalid_value", "response.input[0].content"),
    (item(**LONG_CONTENT), "invalid_value", "item.content"),
    (item(type="message", id="x" * 513), "invalid_value", "item.id"),
    (item(**text_item("x" * (2**20 + 1))), "string_above_max_length", "item"),
    ({"type": "conversation.item.truncate", "item_id": "x" * 513}, "invalid_value", "item_id"),
    *(
        (json.loads(event), code, param if param != "-" else None)
        for event, code, param in raw_rows(__file__, "bad_events.tsv")
    ),
]


async def test_each_invalid_event_gets_its_error_and_changes_nothing(speaker: Client) -> None:
    before = (await speaker.configure("realtime"))["session"]
    for number, (event, code, param) in enumerate(ROWS):
        event_id = f"mine {number}" if isinstance(event, dict) else None
        sent = json.dumps({**event, "event_id": event_id}) if isinstance(event, dict) else event
        await speaker.websocket.send(sent)
        answer = await speaker.receive()
        shown = str(event)[:200]
        assert answer["type"] == "error", (shown, answer)
        error = answer["error"]
        assert (error["code"], error["param"]) == (code, param), (shown, error)
        assert error["type"] == "invalid_request_error" and error["message"], shown
        assert error["event_id"] == event_id, shown
    for given, returned in ((5, None), (None, None), ("x" * 513, None), ("\ud800", "\ud800")):
        await speaker.send("nothing", event_id=given)
        assert (await speaker.receive())["error"]["event_id"] == returned
    assert (await speaker.configure("realtime"))["session"] == before
    # The connection still listens, and speaks.
    await speaker.detect(None)
    await speaker.append(quiet(0.24), loud(0.16), quiet(0.16))
    await speaker.send("input_audio_buffer.commit")
    assert await speaker.transcripts(1) == ["w0 w1"]
    await speaker.send("response.create", response={"input": [text_item("Hello.")]})
    assert (await done(speaker))["status"] == "completed"


async def test_largest_audio_is_taken(tmp_path: Path) -> None:
    audio = base64.b64encode(bytes(MAX_AUDIO_BYTES)).decode()
    async with serving(tmp_path) as server, realtime(server.url) as client:
        await client.send("input_audio_buffer.append", audio=audio)
        assert "disabled" in (await client.receive())["error"]["message"]
        await client.send("input_audio_buffer.append", audio=audio + "AAAA")
        assert (await client.receive())["error"]["code"] == "audio_too_large"
        # Far beyond it nothing is read: the limit of a message is twice as far as that of its audio.
        with suppress(ConnectionClosedError):
            await client.send("input_audio_buffer.append", audio=audio * 2)
        assert await client.close_code() == 1009


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
    refused = await app.post(f"/v1/realtime/{path}", json=body)
    assert refused.status_code == 401 and refused.json()["error"]["code"] == "invalid_api_key"
    made = await app.post(f"/v1/realtime/{path}", json=body, headers={"Authorization": f"Bearer {KEY}"})
    secret = made.json() if path == "client_secrets" else made.json()["client_secret"]
    key = {"Authorization": f"Bearer {secret['value']}"}
    assert secret["value"].startswith("ek_")
    # It opens sessions, and nothing else.
    assert (await app.post(f"/v1/realtime/{path}", json=body, headers=key)).status_code == 401
    assert (await app.get("/v1/voices", headers=key)).status_code == 401
    sessions = []
    for query, headers in (("", key), (f"token={secret['value']}", None)):
        async with realtime(app.url, query, additional_headers=headers) as client:
            sessions.append(client.seen[0]["session"] | {"id": "", "expires_at": 0})
    assert sessions[0] == sessions[1]
    session = sessions[0]
    made_session = made.json()["session"] if path == "client_secrets" else made.json()
    assert session["object"] == made_session["object"]
    if body.get("input_audio_format"):
        assert session["audio"]["input"]["format"] == {"type": "audio/pcmu"}
    if body.get("voice"):
        assert session["audio"]["output"]["voice"] == "marin"


def test_bodies_of_keys_are_bounded_and_keys_left_for_others(client: httpx2.Client) -> None:
    answer = client.post("/v1/realtime/client_secrets", content=b"{" + b" " * 70_000)
    assert answer.status_code == 413
    made = [client.post("/v1/realtime/client_secrets", json={}) for _ in range(1001)]
    assert {answer.status_code for answer in made} == {200}
    assert len({answer.json()["value"] for answer in made}) == len(made)


def test_keys_hold_long_configurations_and_expire() -> None:
    now = 1000.0
    keys = EphemeralKeys(lambda: now)
    key = keys.issue(SessionConfig(), 10).value
    changed = [key[:at] + ("A" if key[at] != "A" else "B") + key[at + 1 :] for at in range(len(key))]
    for wrong in (*changed, key + "0", key + "=", key[:-1], f"{key}é", "ek_", "ek_A", "ek_" + "A" * 100, ""):
        assert not keys.is_valid(wrong), wrong
    assert keys.is_valid(key)
    now += 10
    assert not keys.is_valid(key)
    keys = EphemeralKeys()
    long = "\N{MUSICAL SYMBOL G CLEF}" * 200
    config = replace(SessionConfig(), model=long, voice=long, transcription=Transcription(long, "es"))
    issued = keys.issue(replace(config, output_format=FORMATS["audio/pcmu"], turns=None), 10)
    assert keys.find(issued.value) == issued.config
    # A header takes 64 KiB.
    assert len(issued.value) < 8192
