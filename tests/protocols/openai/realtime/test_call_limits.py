"""Calls by WebRTC that are refused, end early, or lose their peer; none leaves anything. Their track."""

import asyncio
import re
import socket
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import NoReturn

import aioice.ice
import pytest
from aiortc import RTCRtpReceiver
from aiortc.rtcsctptransport import (
    SCTP_DATA_FIRST_FRAG,
    SCTP_DATA_LAST_FRAG,
    SCTP_DATA_UNORDERED,
    WEBRTC_DCEP,
    WEBRTC_STRING,
    DataChunk,
    serialize_packet,
)

from kani.protocols.openai.realtime.answers.paced import Track
from kani.protocols.openai.realtime.webrtc import bounds, routes
from kani.protocols.openai.realtime.webrtc.bounds import MAX_PIECES
from kani.protocols.openai.realtime.webrtc.call import LEAST_SIZE, MAX_LINES, MAX_WAITING, Call
from kani.protocols.shared.connection import Client
from kani.protocols.shared.errors import RequestError
from tests.clients.openai_call import CALLS, SDP, Caller, all_free, calling, post_offer
from tests.clients.openai_realtime import loud
from tests.running.sources import ROOT
from tests.support.chat.endpoint import say
from tests.support.chat.talking import answering
from tests.support.loudness import PausingRecognizer
from tests.support.patience import happens
from tests.support.servers.serving import InProcessServer, serving

NAMELESS = b"\3" + bytes(8) + b"\1\0\0\xff"
WHOLE = SCTP_DATA_FIRST_FRAG | SCTP_DATA_LAST_FRAG | SCTP_DATA_UNORDERED
KEY = "a-key-of-sixteen-characters"
HOST = "127.0.0.1"


@pytest.fixture
async def ready(tmp_path: Path) -> AsyncIterator[InProcessServer]:
    async with answering(tmp_path, say("uno dos tres cuatro cinco seis.")) as (running, _):
        yield running


@pytest.fixture
async def offer() -> AsyncIterator[str]:
    caller = Caller()
    yield await caller.offer()
    await caller.close()


def no_session(client: Client, track: Track) -> NoReturn:
    """Make no session: the call's WebSocket is never accepted."""
    raise AssertionError


def decoders() -> int:
    """Threads that decode callers' audio, and those of the callers here."""
    return sum("decoder" in thread.name for thread in threading.enumerate())


def changed(offer: str, change: str) -> str:
    audio, channel = offer.index("m=audio"), offer.index("m=application")
    match change:
        case "video":
            return offer + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:9\r\n"
        case "no audio":
            return offer[:audio] + offer[channel:]
        case "no channel":
            return offer[:channel]
        case "no Opus":
            return offer.replace("opus", "other")
    return re.sub(rf"a={change}.*\r\n", "", offer)


@pytest.mark.parametrize(
    "change",
    ["video", "no audio", "no channel", "no Opus", "group", "fingerprint", "setup", "ice-pwd", "ice-ufrag"],
)
async def test_offer_without_what_a_call_needs(ready: InProcessServer, offer: str, change: str) -> None:
    refused = await post_offer(ready, changed(offer, change))
    assert refused.status_code == 400 and refused.json()["error"]["param"] == "sdp"
    await all_free(ready)


async def test_data_channel_may_come_before_the_audio(offer: str) -> None:
    audio, channel = offer.index("m=audio"), offer.index("m=application")
    call = Call(no_session)
    swapped = (offer[:audio] + offer[channel:] + offer[audio:channel]).replace("BUNDLE 0 1", "BUNDLE 1 0")
    answer = await call.answer(swapped, HOST)
    assert {line.split()[4] for line in answer.splitlines() if line.startswith("a=candidate")} == {HOST}
    await call.close()


async def test_bodies_that_are_no_offer(ready: InProcessServer, offer: str) -> None:
    for sent in ("", "nonsense", "v=0", "\0", "m=audio\r\n"):
        refused = await post_offer(ready, sent)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "sdp")
    assert (await post_offer(ready, "a" * (routes.MAX_BYTES + 1))).status_code == 413
    for session in ("[]", "{", '{"audio": 7}'):
        refused = await ready.post(CALLS, files={"sdp": (None, offer), "session": (None, session)})
        assert refused.status_code == 400 and refused.json()["error"]["param"].startswith("session")
    assert (await ready.post(CALLS, files={"other": (None, "a")})).status_code == 400
    sip = await ready.post(f"{CALLS}/rtc_1/refer", json={})
    assert sip.status_code == 404 and "not by SIP" in sip.json()["error"]["message"]
    await all_free(ready)


async def test_any_damage_of_an_offer_is_an_error_of_the_client(offer: str) -> None:
    lines, refused = offer.splitlines(), 0
    for at, line in enumerate(lines):
        for new in ([], [line, line], [line[: len(line) // 2]], [line.replace(":", ":-", 1)]):
            call = Call(no_session)
            try:
                await call.answer("\r\n".join([*lines[:at], *new, *lines[at + 1 :], ""]), HOST)
            except RequestError as error:
                assert error.status == 400
                refused += 1
            await call.close()
    assert refused > 20


async def test_long_offer_is_not_parsed(ready: InProcessServer, offer: str) -> None:
    # aiortc would make 24 million objects of it.
    codecs, feedback = "a=rtpmap:96 a/1\r\n" * 3500, "a=rtcp-fb:* x\r\n" * 3500
    refused = await post_offer(ready, offer.replace("a=mid:1", f"{codecs}{feedback}a=mid:1"))
    assert refused.status_code == 400 and f"at most {MAX_LINES}" in refused.json()["error"]["message"]
    candidates = "a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n" * MAX_LINES
    call = Call(no_session)
    await call.answer(offer.replace("a=mid:1", f"{candidates}a=mid:1"), HOST)
    await call.close()


async def test_key_opens_a_call_and_an_ephemeral_one_only_that(tmp_path: Path, offer: str) -> None:
    async with serving(tmp_path, PausingRecognizer(), KANI_HOST="0.0.0.0", KANI_API_KEYS=KEY) as server:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            assert (await post_offer(server, offer, **headers)).status_code == 401
        own = {"Authorization": f"Bearer {KEY}"}
        asked = {"session": {"type": "realtime", "audio": {"output": {"voice": "marin"}}}}
        made = await server.post("/v1/realtime/client_secrets", json=asked, headers=own)
        ephemeral = {"Authorization": f"Bearer {made.json()['value']}"}
        async with calling(server, **ephemeral) as caller:
            assert caller.seen[0]["session"]["audio"]["output"]["voice"] == "marin"
            hang_up = f"{caller.location}/hangup"
            assert (await server.post(hang_up, headers=ephemeral)).status_code == 401
            assert (await server.post(hang_up, headers=own)).status_code == 200
            await caller.ended()
        await all_free(server, **own)


async def test_page_of_another_origin_is_refused(ready: InProcessServer, offer: str) -> None:
    refused = await post_offer(ready, offer, Origin="https://elsewhere.example")
    assert refused.status_code == 403
    preflight = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
    allowed = await ready.request("OPTIONS", CALLS, headers=preflight)
    answer = await ready.post(CALLS, content=offer, headers=SDP | {"Origin": preflight["Origin"]})
    assert allowed.status_code == 200 and answer.status_code == 201
    # The SDK takes the call's id from its address: "*" exposes it, as the page sends no cookies.
    exposed = {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert exposed & {"*", "location"}


async def test_calls_are_bounded(ready: InProcessServer, offer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "MAX_CALLS", 1)
    async with calling(ready):
        refused = await post_offer(ready, offer)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "server_busy")
    await all_free(ready)
    async with calling(ready):
        pass


async def test_call_counts_as_a_connection(tmp_path: Path, offer: str) -> None:
    async with serving(tmp_path, PausingRecognizer(), KANI_MAX_CONNECTIONS="1") as server:
        async with calling(server):
            assert (await post_offer(server, offer)).status_code == 503
        await all_free(server)


async def test_fifty_calls_leave_nothing(ready: InProcessServer, offer: str) -> None:
    for number in range(50):
        if number % 5 == 0:
            # Never connected: the caller is waited for, until it is hung up.
            answer = await post_offer(ready, offer)
            assert answer.status_code == 201
            await ready.post(f"{answer.headers['location']}/hangup")
            continue
        async with calling(ready) as caller:
            if number % 5 > 1:
                caller.microphone.say(loud(0.4, level=0.9))
                await caller.until("input_audio_buffer.speech_started")
            if number % 5 == 3:
                await caller.send("response.create", response={"input": []})
                await caller.until("output_audio_buffer.started")
            if number % 5 == 4:
                caller.channel.close()
                await caller.ended()
    await all_free(ready)
    await happens(lambda: not decoders() and not ready.engine.under_way)


async def test_peer_that_is_lost_is_noticed(ready: InProcessServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.05)
    async with AsyncExitStack() as stack:
        caller = await stack.enter_async_context(calling(ready))
        # Its socket goes without a word: neither DTLS nor RTCP says goodbye.
        ice = caller.sender.transport.transport.iceGatherer._connection
        ice._query_consent_task.cancel()
        for protocol in ice._protocols:
            protocol.transport.abort()
        await all_free(ready)


async def test_server_that_stops_ends_its_calls(tmp_path: Path) -> None:
    async with answering(tmp_path, say("vale.")) as (server, _):
        async with calling(server) as caller:
            server.stop.set()
            await caller.ended()
    assert not decoders()


async def test_place_is_free_though_aiortc_does_not_end_a_call(
    ready: InProcessServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stop = RTCRtpReceiver.stop

    async def stop_in_vain(receiver: RTCRtpReceiver) -> None:
        await stop(receiver)
        if receiver not in caller.peer.getReceivers():
            await asyncio.Event().wait()

    monkeypatch.setattr(bounds, "CLOSE_S", 0.05)
    monkeypatch.setattr(RTCRtpReceiver, "stop", stop_in_vain)
    async with calling(ready) as caller:
        assert (await ready.post(f"{caller.location}/hangup")).status_code == 200
        await all_free(ready)
        await caller.ended()
    assert "its socket is closed" in caplog.text


def test_libraries_are_those_that_were_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read a new version, from the socket to the tracks, before it is named here and in ``READ``."""
    required = (ROOT / "deploy/requirements-webrtc.txt").read_text()
    assert dict(re.findall(r"^(\w+)==(\S+)", required, re.MULTILINE)) == bounds.READ
    assert not bounds.unread_versions()
    monkeypatch.setitem(bounds.READ, "aiortc", "1.15.0")
    with pytest.raises(RequestError, match=r"needs aiortc 1\.15\.0 \(installed is"):
        routes._load()


async def test_call_that_nobody_joins_ends(
    ready: InProcessServer, offer: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("kani.protocols.openai.realtime.webrtc.call.CONNECT_S", 0.05)
    assert (await post_offer(ready, offer)).status_code == 201
    await all_free(ready)
    assert f"no packet of a call came to {HOST}" in caplog.text


async def test_packets_go_to_nobody_but_the_caller(ready: InProcessServer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((HOST, 0))
        other.setblocking(False)
        caller = Caller()
        candidate = f"a=candidate:1 1 udp 2130706431 {HOST} {other.getsockname()[1]} typ host"
        secret = "a=candidate:2 1 udp 2130706430 0c1a9a2e-4a1e-4d0e-9f5b-000000000000.local 9 typ host"
        offer = (await caller.offer()).replace("a=mid:0", f"{candidate}\r\n{secret}\r\na=mid:0")
        answer = await post_offer(ready, offer)
        candidates = [line for line in answer.text.splitlines() if line.startswith("a=candidate")]
        assert {line.split()[4] for line in candidates} == {HOST}
        await caller.connect(answer.text)
        await caller.until("session.created")
        with pytest.raises(BlockingIOError):
            other.recv(1)
        await caller.close()


async def test_without_the_package_the_error_names_it(
    ready: InProcessServer, offer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("kani.protocols.openai.realtime.webrtc.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aiortc", None)
    refused = await post_offer(ready, offer)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (503, "webrtc_not_installed")
    assert "aiortc" in error["message"] and "requirements-webrtc.txt" in error["message"]
    assert refused.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(("event", "size"), [("a" * 1000, 1000), ("", LEAST_SIZE)], ids=["long", "empty"])
async def test_flood_of_events_ends_the_call(event: str, size: int) -> None:
    call = Call(no_session)
    assert (await call.receive())["type"] == "websocket.connect"
    for _ in range(MAX_WAITING // size):
        call._on_message(event)
    assert (await call.receive())["type"] == "websocket.receive"
    for _ in range(3):
        call._on_message(event)
    assert (await call.receive())["type"] == "websocket.disconnect"
    await call.close()


@pytest.mark.parametrize(
    ("flags", "step", "data", "streams", "ends"),
    [
        pytest.param(WHOLE, 1, b"a" * 1100, 1, False, id="messages"),
        pytest.param(SCTP_DATA_UNORDERED, 1, b"a" * 1100, 1, True, id="message without an end"),
        pytest.param(SCTP_DATA_UNORDERED, 1, b"a", 1, True, id="the same in small pieces"),
        pytest.param(WHOLE, 2, b"a", 1, True, id="lost packets"),
        pytest.param(WHOLE, 1, b"a", 60_000, True, id="many streams"),
        pytest.param(WHOLE, 1, b"", 1, True, id="channel without a name"),
    ],
)
async def test_channel_that_only_takes_room_ends_the_call(
    offer: str, flags: int, step: int, data: bytes, streams: int, ends: bool
) -> None:
    call = Call(no_session)
    await call.answer(offer, HOST)
    transport = call._peer.sctp
    transport._last_received_tsn, transport._remote_port = 0, 5000
    for number in range(1, MAX_PIECES + 2):
        piece = DataChunk(flags=flags)
        piece.tsn, piece.stream_id = step * number, number % streams
        piece.protocol, piece.user_data = (WEBRTC_STRING, data) if data else (WEBRTC_DCEP, NAMELESS)
        with suppress(ConnectionError):  # it answers, and is not connected
            await transport._handle_data(
                serialize_packet(5000, 5000, transport._local_verification_tag, piece)
            )
    await call.receive()
    assert call._inbox.empty() is not ends
    await call.close()
