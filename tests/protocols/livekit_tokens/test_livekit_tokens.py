"""LiveKit's tokens: as the relay's app asks for them, and as LiveKit's client libraries do."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx2
import jwt
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

from kani.protocols.livekit_tokens import protocol as livekit_tokens
from kani.protocols.livekit_tokens.plugin import Settings
from tests.conftest import StartServer
from tests.support.servers.app_server import AppServer, app_server

URL = "wss://rooms.example.test"
KEY, SECRET = "APIx7kQ2", "a-secret-of-more-than-32-characters-9f2c"
CONFIGURED = {"LIVEKIT_URL": URL, "LIVEKIT_API_KEY": KEY, "LIVEKIT_API_SECRET": SECRET}
APP = "https://app.example.test"
UNCONFIGURED = {"detail": "LiveKit credentials not configured. Check .env file."}

Verify = Callable[[str], Any]


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    variables = CONFIGURED | {"KANI_ALLOWED_ORIGINS": APP}
    with app_server(tmp_path_factory.mktemp("rooms"), **variables) as running:
        yield running


@pytest.fixture(scope="module")
def verify() -> Verify:
    # Slow to import, and of no use to the other modules.
    from livekit.api import TokenVerifier

    return TokenVerifier(KEY, SECRET).verify


def client_of(server: AppServer, **headers: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=server.http_url, headers=headers)


@pytest.fixture
async def client(rooms: AppServer) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(rooms) as client:
        yield client


def livekit(url: str | None, key: str | None, secret: str | None) -> Settings:
    return Settings(url=url, api_key=key, api_secret=None if secret is None else SecretStr(secret))


def client_alone(settings: Settings) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(Starlette(routes=livekit_tokens.routes(settings)))
    return httpx2.AsyncClient(transport=transport, base_url="http://localhost")


def claims(token: str) -> dict[str, Any]:
    read: dict[str, Any] = jwt.decode(token, SECRET, algorithms=["HS256"])
    return read


async def test_relay_app_gets_token(client: httpx2.AsyncClient) -> None:
    before = int(time.time())
    answer = await client.get("/token", params={"identity": "نور", "room": "قراءة ١"})
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    told = answer.json()
    token = told.pop("accessToken")
    assert told == {"url": URL, "room": "قراءة ١", "identity": "نور"}
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}
    said = claims(token)
    begins = said["nbf"]
    assert before <= begins <= time.time()
    grant = {"roomJoin": True, "room": "قراءة ١"}
    grant |= {"canPublish": True, "canSubscribe": True, "canPublishData": True}
    assert said == {"video": grant, "sub": "نور", "iss": KEY, "nbf": begins, "exp": begins + 7200}


async def test_unnamed_clients_get_own_rooms(client: httpx2.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.get("/token?identity=&room=") for _ in range(40)))
    named = (await client.get("/token", params={"room": "kitchen"})).json()
    somebody = (await client.get("/token", params={"identity": "ana"})).json()
    posted = claims((await client.post("/token")).json()["participant_token"])
    told = [answer.json() for answer in answers]
    assert all(one["identity"] == one["room"] == claims(one["accessToken"])["sub"] for one in told)
    names = [one["identity"] for one in told] + [named["identity"], somebody["room"], posted["sub"]]
    assert len({*names}) == len(names)
    assert all(name.removeprefix("realtime-").isdecimal() for name in names)
    assert (named["room"], somebody["identity"]) == ("kitchen", "ana")
    assert posted["video"]["room"] == posted["sub"]
    # They are unique across restarts.
    names = []
    for _ in range(3):
        async with client_alone(livekit(URL, KEY, SECRET)) as restarted:
            names.append((await restarted.get("/token")).json()["room"])
        await asyncio.sleep(0.002)
    assert len({*names}) == 3 and sorted(names) == names


async def test_livekit_libraries_get_token(client: httpx2.AsyncClient, verify: Verify) -> None:
    asked = {
        "room_name": "kitchen",
        "participant_identity": "ana",
        "participant_name": "Ana 👩‍🍳",
        "participant_metadata": '{"hungry": true}',
        "participant_attributes": {"language": "es"},
        "room_config": {"empty_timeout": 60, "agents": [{"agent_name": "cook", "metadata": "soup"}]},
        "later_field": [1],
    }
    in_camel_case = {
        "roomName": "kitchen",
        "participantIdentity": "ana",
        "participantName": "Ana 👩‍🍳",
        "participantAttributes": {},
        "participant_metadata": None,
        "roomConfig": {"agents": [{"agentName": "cook"}]},
    }
    tokens = []
    for each in (asked, in_camel_case):
        answer = await client.post("/token", json=each)
        assert answer.status_code == 201 and answer.headers["cache-control"] == "no-store"
        told = answer.json()
        assert told.keys() == {"server_url", "participant_token"} and told["server_url"] == URL
        tokens.append(told["participant_token"])
    reads = [verify(token) for token in tokens]
    for read in reads:
        assert (read.identity, read.name, read.video.room) == ("ana", "Ana 👩‍🍳", "kitchen")
        assert [agent.agent_name for agent in read.room_config.agents] == ["cook"]
    assert (reads[0].metadata, reads[0].attributes) == ('{"hungry": true}', {"language": "es"})
    assert reads[0].room_config.empty_timeout == 60 and reads[0].room_config.agents[0].metadata == "soup"
    assert "later_field" not in claims(tokens[0])
    assert not claims(tokens[1]).keys() & {"metadata", "attributes"}


TEXTS = "has to be an object with texts as values"
TOO_LARGE = "too large (at most 4096 bytes as JSON)"
NAMED = "has to be a text of at most 256 bytes, without control characters"


NO_OBJECT = "body: has to be a JSON object ("


@pytest.mark.parametrize(
    ("asked", "status", "reason"),
    [
        ({"room_name": 5}, 400, f"room_name: {NAMED}"),
        ({"roomName": ["a"]}, 400, f"room_name: {NAMED}"),
        ({"room_name": "\ud83d"}, 400, f"room_name: {NAMED}"),
        ({"participant_identity": "x" * 257}, 400, f"participant_identity: {NAMED}"),
        ({"participant_name": "a\r\nb"}, 400, f"participant_name: {NAMED}"),
        ({"participant_metadata": {}}, 400, "participant_metadata: has to be a text"),
        ({"participant_metadata": "x" * 4095}, 400, f"participant_metadata: {TOO_LARGE}"),
        ({"participant_metadata": "\udc00"}, 400, "participant_metadata: holds half of a surrogate pair"),
        ({"participant_attributes": ["a"]}, 400, f"participant_attributes: {TEXTS}"),
        ({"participant_attributes": {"a": 1}}, 400, f"participant_attributes: {TEXTS}"),
        (
            {"participant_attributes": dict.fromkeys(map(str, range(600)), "")},
            400,
            f"participant_attributes: {TOO_LARGE}",
        ),
        ({"room_config": "default"}, 400, "room_config: has to be an object"),
        ({"room_config": {"metadata": "ñ" * 2048}}, 400, f"room_config: {TOO_LARGE}"),
        ({"room_config": {"egress": {}}}, 400, "room_config: egress is not a client's to ask for"),
        (b"[]", 400, f"{NO_OBJECT}a JSON object is expected, not a list)"),
        *((raw, 400, NO_OBJECT) for raw in (b"{", b"\xff", b"[" * 5000)),
        (b'{"room_name": NaN}', 400, f"{NO_OBJECT}NaN is not JSON)"),
        (b" " * 33000, 413, "body: too large (at most 32 KiB)"),
    ],
)
async def test_fault_is_named(client: httpx2.AsyncClient, asked: Any, status: int, reason: str) -> None:
    content = asked if isinstance(asked, bytes) else json.dumps(asked)
    answer = await client.post("/token", content=content)
    detail = answer.json()["detail"]
    assert answer.status_code == status
    assert detail.startswith(reason) if reason == NO_OBJECT else detail == reason


async def test_limits_of_names_and_fields(client: httpx2.AsyncClient) -> None:
    for name in ("identity", "room"):
        for value in ("x" * 257, "ñ" * 129, "a\nb", "a\x00", "\x7f", " ", "\u2028"):
            answer = await client.get("/token", params={name: value})
            assert (answer.status_code, answer.json()) == (400, {"detail": f"{name}: {NAMED}"}), value
    longest = {
        "room_name": "ñ" * 128,
        "participant_identity": "x" * 256,
        "participant_metadata": "x" * 4094,
        "participant_attributes": {"a": "x" * 4087},
        "room_config": {"metadata": "x" * 4080},
    }
    answer = await client.post("/token", json=longest)
    assert answer.status_code == 201
    assert claims(answer.json()["participant_token"])["metadata"] == "x" * 4094


@pytest.mark.parametrize(
    ("settings", "detail", "warnings"),
    [
        (livekit(None, None, None), UNCONFIGURED["detail"], []),
        (livekit(URL, None, SECRET), UNCONFIGURED["detail"], ["WARNING"]),
        (livekit(URL, KEY, ""), UNCONFIGURED["detail"], ["WARNING"]),
        (livekit(None, KEY, SECRET), "LiveKit URL not configured. Check .env file.", ["WARNING"]),
    ],
)
async def test_incomplete_settings_are_logged(
    settings: Settings, detail: str, warnings: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with client_alone(settings) as client:
        answer = await client.get("/token")
        posted = await client.post("/token", json={})
        debug = (await client.get("/debug")).json()
    for each in (answer, posted):
        assert (each.status_code, each.json()) == (500, {"detail": detail})
    told = {"status": "running", "default_room": "tts-reading-room", "livekit_url": settings.url}
    loaded = bool(settings.api_key and settings.api_secret)
    assert debug == told | {"credentials_loaded": loaded}
    assert [record.levelname for record in caplog.records if "LIVEKIT" in record.message] == warnings


async def test_secret_is_never_disclosed(start_server: StartServer) -> None:
    """In no answer, no log, no terminal, nor in what a settings object prints; the key only in tokens.

    One that is too short is told of once, at the start, and tokens are signed with it.
    """
    short = "short-secret-5b1"
    settings = CONFIGURED | {"LIVEKIT_API_SECRET": short, "KANI_LOG_LEVEL": "DEBUG"}
    server = start_server("--engine", "espeak", **settings)
    async with client_of(server) as client:
        answers = [
            await client.get("/token", params={"identity": "ana"}),
            await client.post("/token", json={"room_name": "kitchen"}),
            await client.post("/token", content=b"{"),
            await client.get("/debug"),
            await client.get("/health"),
            await client.get("/metrics"),
        ]
    assert [answer.status_code for answer in answers] == [200, 201, 400, 200, 200, 200]
    assert answers[3].json()["credentials_loaded"] is True
    server.stop()
    seen = [answer.text + str(answer.headers) for answer in answers]
    seen += [server.log, server.terminal, server.banner, repr(livekit(URL, KEY, short))]
    assert not any(short in text or KEY in text for text in seen)
    assert server.log.count("LIVEKIT_API_SECRET has fewer than 32 characters") == 1
    assert "InsecureKeyLengthWarning" not in server.log + server.terminal


async def test_allowed_origins_can_read_tokens(rooms: AppServer) -> None:
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    for origin in (APP, "http://localhost:51234"):
        async with client_of(rooms, origin=origin) as client:
            before = await client.options("/token", headers=asks)
            answers = [before, await client.post("/token", json={}), await client.get("/token")]
            answers.append(await client.get("/token?room=%00"))
        assert [answer.status_code for answer in answers] == [200, 201, 200, 400]
        assert "content-type" in before.headers["access-control-allow-headers"]
        assert {answer.headers["access-control-allow-origin"] for answer in answers} == {origin}
    async with client_of(rooms, origin="https://elsewhere.example.test") as client:
        for answer in (await client.get("/token"), await client.post("/token", json={})):
            assert answer.status_code == 403 and "participant" not in answer.text
            assert "access-control-allow-origin" not in answer.headers
