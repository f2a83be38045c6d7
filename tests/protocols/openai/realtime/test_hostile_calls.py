"""Calls by WebRTC that attack their server, over real sockets: what one does is no other client's matter."""

import asyncio
import binascii
import os
import random
import re
import socket
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests.clients.hostile_call import (
    OPUS,
    OPUS_SILENCE,
    HostileCall,
    candidate_of,
    channel_open,
    chunk,
    data,
    feedback,
    forward_tsn,
    fuzz,
    hostile_call,
    nack,
    sack,
    stream_reset,
)
from tests.clients.openai_call import Caller, all_free, calling, post_offer
from tests.conftest import ServerProcess, server_process
from tests.support.loudness import PausingRecognizer
from tests.support.patience import happens
from tests.support.servers.loop_pause import Pauses, pauses, resident
from tests.support.servers.serving import serving

pytestmark = [pytest.mark.server, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]

LONGEST_S = 0.5
"""Processor time."""

MUCH_MIB = 64.0
"""More than a recogniser takes for its first audio; what has no bound takes hundreds."""

SOON_S = 30.0
"""A guard: nothing of this takes a second."""

NOISE = bytes((0xFF, 0x06)) + random.Random(1).randbytes(180) * 6  # 120 ms of Opus, stereo, dear to decode


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with server_process(tmp_path_factory.mktemp("attacked"), "--engine", "espeak") as started:
        asyncio.run(use_until_its_memory_rests(started))
        yield started


async def use(server: ServerProcess) -> None:
    """Speak, call and hang up, as if nothing had been."""
    speech = {"model": "tts-1", "voice": "alloy", "input": "Good morning.", "response_format": "pcm"}
    spoken = await server.post("/v1/audio/speech", json=speech)
    assert spoken.status_code == 200 and spoken.content
    async with calling(server) as caller:
        assert (await server.post(f"{caller.location}/hangup")).status_code == 200
        await caller.ended()
    await all_free(server)


async def use_until_its_memory_rests(server: ServerProcess) -> None:
    """The first calls load models, and release what they needed for that."""
    speech = {"model": "tts-1", "voice": "alloy", "input": "Good morning.", "response_format": "wav"}
    spoken = await server.post("/v1/audio/speech", json=speech)
    heard = await server.post("/v1/audio/transcriptions", data={"model": "w"}, files={"file": spoken.content})
    assert heard.status_code == 200
    held = [0.0]
    while len(held) < 6 or max(held[-4:]) - min(held[-4:]) > 4:
        await use(server)
        held.append(resident(server.process.pid))


@pytest.fixture
async def server(running: ServerProcess) -> AsyncIterator[ServerProcess]:
    """A server that can be used after the test as before."""
    before = len(running.log)
    yield running
    async with asyncio.timeout(2 * SOON_S):
        await use(running)
    said = running.log[before:]
    assert "Traceback" not in said and " ERROR " not in said, said[-3000:]
    assert said.count("\n") < 200


@pytest.fixture
async def loop(server: ServerProcess) -> AsyncIterator[Pauses]:
    """The pauses of the server's loop: none may be long."""
    async with asyncio.timeout(3 * SOON_S), pauses(server.port, server.process.pid) as seen:
        yield seen
    assert (seen.longest_s <= LONGEST_S, seen.grown_mib <= MUCH_MIB) == (True, True), seen


@pytest.fixture
async def callers() -> AsyncIterator[list[Caller]]:
    """Callers that have not called yet."""
    made = [Caller() for _ in range(4)]
    yield made
    for each in made:
        await each.close()


async def send(call: HostileCall, server: ServerProcess, datagrams: Iterable[bytes], every: int = 20) -> int:
    """Send, and hang up; returns the bytes that were sent."""
    sent = 0
    for number, datagram in enumerate(datagrams):
        call.send_raw(datagram)
        sent += len(datagram)
        if number % every == 0:
            await asyncio.sleep(0.001)
    async with asyncio.timeout(SOON_S):
        assert (await server.post(f"{call.location}/hangup")).status_code in {200, 404}
    return sent


Packet = Callable[[HostileCall, int], bytes]


def chunks(*parts: bytes) -> Packet:
    return lambda call, _: call.packet(*parts)


def piece(ahead: int, times: int = 1) -> Packet:
    return lambda call, _: call.packet(*[data(call.next_tsn + ahead, b"a")] * times)


def gaps(*runs: tuple[int, int], times: int = 1, ahead: int = 0) -> Packet:
    return lambda call, _: call.packet(sack(call.sctp._last_received_tsn + ahead, runs * times))


def forwards(*streams: int, bundled: int = 1, step: int = 0) -> Packet:
    def make(call: HostileCall, number: int) -> bytes:
        first = call.next_tsn + 1 + number * bundled
        named = [(each + step * number) % 65_000 for each in streams]
        return call.packet(*(forward_tsn(first + n, named) for n in range(bundled)))

    return make


NO_LENGTH = bytes(4)  # a parameter that says that it has no length, not even that of its header


def start(call: HostileCall, _: int) -> bytes:
    return call.packet(chunk(1, struct.pack("!LLHHL", 9, 9, 9, 9, 9) + NO_LENGTH), tag=0)


@pytest.mark.parametrize(
    ("packet", "count"),
    [
        pytest.param(gaps((1, 65_000), times=280), 4, id="acknowledged: a long gap, often"),
        pytest.param(gaps((0, 65_535)), 900, id="acknowledged: one long gap"),
        pytest.param(gaps((5, 900), times=280, ahead=2**29), 60, id="acknowledged: what was never sent"),
        pytest.param(gaps((60_000, 7), times=280), 60, id="acknowledged: gaps that end before they begin"),
        pytest.param(forwards(*range(280), step=280), 150, id="streams given up"),
        pytest.param(forwards(*[9] * 280), 150, id="one stream given up, often"),
        pytest.param(forwards(4, bundled=70, step=1), 900, id="streams given up one by one"),
        pytest.param(chunks(chunk(4, NO_LENGTH)), 1, id="heartbeat without a length"),
        pytest.param(chunks(chunk(130, b"\0\x0d\0\0" + bytes(12))), 1, id="reset without a length"),
        pytest.param(chunks(chunk(6, NO_LENGTH)), 1, id="abort without a length"),
        pytest.param(start, 1, id="start without a length"),
        pytest.param(chunks(*[chunk(4)] * 280), 300, id="heartbeats"),
        pytest.param(chunks(chunk(4, struct.pack("!HH", 1, 1400) + bytes(1396))), 900, id="long heartbeats"),
        pytest.param(chunks(chunk(130, struct.pack("!HHLHH", 17, 12, 1, 1, 0) * 90)), 300, id="resets"),
        pytest.param(chunks(chunk(3, struct.pack("!LLHH", 1, 1, 99, 0))), 1, id="cut acknowledgement"),
        pytest.param(chunks(chunk(0, b"abc")), 1, id="cut piece"),
        pytest.param(chunks(chunk(192, b"abcdef")), 1, id="cut list of streams"),
        pytest.param(piece(100_000), 1, id="piece far ahead"),
        pytest.param(piece(-1, times=55), 300, id="pieces again"),
    ],
)
async def test_chunks(server: ServerProcess, loop: Pauses, packet: Packet, count: int) -> None:
    async with hostile_call(server) as call:
        before = call.received
        sent = await send(call, server, (call.records(packet(call, number)) for number in range(count)))
        assert call.received - before < 10 * sent + 100_000


async def test_acknowledgements_of_what_waits(server: ServerProcess, loop: Pauses) -> None:
    async with hostile_call(server) as call:
        base = call.sctp._last_received_tsn
        for _ in range(30):
            await call.send("session.update", session={"type": "realtime", "instructions": "i" * 9000})
        backwards = [call.packet(sack(base, [(9, 2)]))] * 20
        many = [call.packet(*[sack(base, [(2, 900)])] * 55)] * 200
        await send(call, server, (call.records(each) for each in [*many, *backwards]))


async def test_pieces_that_wait_for_others(server: ServerProcess, loop: Pauses) -> None:
    async with hostile_call(server) as call:
        tsn = call.next_tsn + 500
        waiting = [
            call.packet(*(data(tsn + 2 * (first + n), b"a", 3, flags=4) for n in range(50)))
            for first in range(0, 500, 50)
        ]
        # Each is answered by an account of all that is missing: 3.6 KB.
        again = [call.packet(data(tsn, b"a", 3))] * 12_000
        given_up = [call.packet(forward_tsn(tsn - 400 + n, [3] * 250)) for n in range(100)]
        await send(call, server, (call.records(each) for each in [*waiting, *again, *given_up]))


def openings(call: HostileCall) -> Iterator[bytes]:
    """Yield what opens channels and closes them on this side only."""
    tsn, sequence = call.next_tsn, call.sctp._reconfig_request_seq
    for first in range(10, 40_000, 12):
        streams = range(first, first + 12)
        opened = [data(tsn + n, channel_open(), each, flags=3, protocol=50) for n, each in enumerate(streams)]
        tsn, sequence = tsn + len(opened), sequence + 1
        yield call.packet(*opened, stream_reset(sequence - 1, tsn - 1, *streams))


async def test_channels_that_are_never_closed(server: ServerProcess, loop: Pauses) -> None:
    async with hostile_call(server) as call:
        await send(call, server, (call.records(each) for each in openings(call)), every=8)


async def test_many_records_in_a_datagram(server: ServerProcess, loop: Pauses) -> None:
    async with hostile_call(server) as call:
        beat, parts = call.packet(chunk(4)), ([bytes(16_000)], 500, 20)
        packets = [each if isinstance(each, list) else [beat] * each for each in parts]
        await send(call, server, (call.records(*packets[n % 3]) for n in range(3000)))


async def test_nothing_is_sent_again_without_end(server: ServerProcess, loop: Pauses) -> None:
    async with hostile_call(server) as call:
        ssrc, numbers = call.media_ssrc, await call.audio_numbers(20)
        wanted = [(numbers[0], 0xFFFF)] * 300
        parts = [nack(ssrc, wanted)], [nack(ssrc, wanted[:1])] * 80
        before = call.received
        sent = await send(call, server, (call.protected_rtcp(*parts[n % 2]) for n in range(60)))
        assert call.received - before < 2 * sent + 20_000


async def test_reports(server: ServerProcess, loop: Pauses) -> None:
    async with hostile_call(server) as call:
        own, theirs = call.sender._ssrc, call.media_ssrc
        rate = struct.pack("!LL4sBBHL", own, 0, b"REMB", 1, 3, 3, theirs)
        parts = [
            feedback(201, 1, struct.pack("!7L", own, theirs, 0, 0, 0, 0, 0)) * 40,
            feedback(201, 0, struct.pack("!L", own)) * 160,
            feedback(200, 0, struct.pack("!LQLLL", own, 1, 1, 1, 1)) * 45,
            feedback(202, 0, b"") * 300,
            feedback(206, 15, rate) * 50,
            feedback(203, 1, struct.pack("!L", own)) * 160,
        ]
        await send(call, server, (call.protected_rtcp(parts[n % len(parts)]) for n in range(500)))
    async with hostile_call(server) as call:
        await send(call, server, [call.protected_rtcp(feedback(206, 15, rate[:13] + b"\xc8" + rate[14:]))])


async def many_sources(call: HostileCall) -> None:
    for number in range(70):
        call.send_rtp(1000 + number, 1, 0)


async def leaping_clock(call: HostileCall) -> None:
    # The jitter of a report has 32 bits, and what aiortc measures more.
    for number in range(360):
        call.send_rtp(77, number, -(number % 2))
        await asyncio.sleep(0.008 if number % 2 else 0)


@pytest.mark.parametrize("attack", [many_sources, leaping_clock])
async def test_places_are_free_after_reports_that_cannot_be_made(
    server: ServerProcess, loop: Pauses, attack: Callable[[HostileCall], Awaitable[None]]
) -> None:
    async with hostile_call(server) as hung_up, hostile_call(server) as left:
        await asyncio.gather(attack(hung_up), attack(left))
        # The longest time between two reports: no event tells that one failed.
        await asyncio.sleep(1.6)
        left.leave()
        for call in (hung_up, left):
            async with asyncio.timeout(SOON_S):
                assert (await server.post(f"{call.location}/hangup")).status_code == 200


async def test_call_with_such_reports_leaves_no_task(tmp_path: Path) -> None:
    async with serving(tmp_path, PausingRecognizer()) as near:
        async with calling(near):
            pass
        await all_free(near)
        before = asyncio.all_tasks()
        async with hostile_call(near) as call:
            await leaping_clock(call)
            await asyncio.sleep(1.6)
        async with asyncio.timeout(SOON_S):
            await near.post(f"{call.location}/hangup")
            await all_free(near)
        # Those of the last request may be about to end.
        async with asyncio.timeout(SOON_S):
            await happens(
                lambda: not [each for each in asyncio.all_tasks() - before if "aiortc" in repr(each)]
            )


async def test_sources_of_packets_are_not_kept(server: ServerProcess, loop: Pauses) -> None:
    async with hostile_call(server) as call:

        def packets() -> Iterator[bytes]:
            for source in range(10**6, 10**6 + 12_000):
                yield call.protected_rtcp(feedback(201, 0, struct.pack("!L", source)))
                yield call.protected_rtp(struct.pack("!BBHLL", 128, OPUS, 1, 0, source) + OPUS_SILENCE)

        await send(call, server, packets(), every=30)


async def send_noise(server: ServerProcess) -> None:
    """Send 18 minutes of it at once."""
    async with hostile_call(server) as call:
        call.microphone.stop()

        def packets() -> Iterator[bytes]:
            for number in range(9000):
                head = struct.pack("!BBHLL", 128, OPUS, number, 5760 * number, 77)
                yield call.protected_rtp(head + NOISE)
            yield call.protected_rtcp(feedback(203, 1, struct.pack("!L", 77)))

        await send(call, server, packets())


@pytest.fixture
async def after_noise(server: ServerProcess) -> None:
    """The first seconds of noise make the recogniser take memory, which it keeps."""
    await send_noise(server)
    await all_free(server)


@pytest.mark.usefixtures("after_noise", "loop")
async def test_audio_faster_than_it_is_heard(server: ServerProcess) -> None:
    await send_noise(server)


@pytest.mark.parametrize("size", [1, 300, -5])
async def test_caller_that_takes_no_event(
    server: ServerProcess, loop: Pauses, callers: list[Caller], size: int
) -> None:
    offer = re.sub("max-message-size:.*", f"max-message-size:{size}\r", await callers[0].offer())
    answer = await post_offer(server, offer)
    if answer.status_code == 201:
        await callers[0].connect(answer.text)
        await callers[0].send("session.update", session={"type": "realtime"})
        async with asyncio.timeout(SOON_S):
            hung_up = await server.post(f"{answer.headers['location']}/hangup")
        assert hung_up.status_code in {200, 404}
    else:
        assert answer.status_code == 400


@pytest.mark.parametrize("change", [("a=extmap:1 ", "a=extmap:0 "), ("a=extmap:1 ", "a=extmap:300 ")])
async def test_numbers_of_an_offer_that_no_packet_can_carry(
    server: ServerProcess, loop: Pauses, callers: list[Caller], change: tuple[str, str]
) -> None:
    answer = await post_offer(server, (await callers[0].offer()).replace(*change))
    if answer.status_code == 201:
        await callers[0].connect(answer.text)
        await callers[0].until("session.created")
        await callers[0].configure("realtime")
    else:
        assert answer.status_code == 400


@pytest.mark.parametrize("payload", [b"\xff\xff\xff", b""], ids=["damaged", "empty"])
async def test_audio_that_cannot_be_decoded(server: ServerProcess, loop: Pauses, payload: bytes) -> None:
    async with hostile_call(server) as call:
        call.microphone.stop()
        heads = (struct.pack("!BBHLL", 128, OPUS, number, 960 * number, 77) for number in range(3000))
        await send(call, server, (call.protected_rtp(head + payload) for head in heads))


def check(*attributes: bytes) -> bytes:
    """Return a STUN request without a password."""
    body = b"".join(attributes)
    return struct.pack("!HHL12s", 1, len(body), 0x2112A442, os.urandom(12)) + body


STRANGE = [
    *(b"", b"\x80" * 1501, b"\x90" * 9000, b"\xff" * 1400, bytes((23, 254, 253)) + os.urandom(1200)),
    *(check(b"\0\x24\0\0"), check(b"\0\6\0\3a:b\0"), check(b"\x80\x28\0\3abc\0")),
]


@pytest.mark.parametrize("joined", [False, True], ids=["before it is joined", "joined"])
async def test_packets_of_strangers(
    server: ServerProcess, loop: Pauses, callers: list[Caller], joined: bool
) -> None:
    caller = callers[0]
    answer = await post_offer(server, await caller.offer())
    if joined:
        await caller.connect(answer.text)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for number in range(20_000):
            stranger.sendto(STRANGE[number % len(STRANGE)], candidate_of(answer.text))
            if number % 40 == 0:
                await asyncio.sleep(0.001)
    async with asyncio.timeout(SOON_S):
        if not joined:
            await caller.connect(answer.text)
        await caller.until("session.created")
        await caller.configure("realtime")
        assert (await server.post(f"{answer.headers['location']}/hangup")).status_code == 200
        await caller.ended()


async def test_check_of_a_stranger_that_takes_long_to_read(
    server: ServerProcess, loop: Pauses, callers: list[Caller]
) -> None:
    """A checksum of all that is before it, 8,000 times in one datagram."""
    count = 8000
    whole = bytearray(struct.pack("!HHL12s", 1, 8 * count, 0x2112A442, bytes(12)))
    for _ in range(count):
        checked = whole[:2] + struct.pack("!H", len(whole) - 12) + whole[4:]
        whole += struct.pack("!HHL", 0x8028, 4, binascii.crc32(checked) ^ 0x5354554E)
    answers = [await post_offer(server, await caller.offer()) for caller in callers]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for number in range(40):
            stranger.sendto(whole, candidate_of(answers[number % 4].text))
    for answer in answers:
        async with asyncio.timeout(SOON_S):
            assert (await server.post(f"{answer.headers['location']}/hangup")).status_code == 200


async def test_anything_at_all(server: ServerProcess, loop: Pauses) -> None:
    chance = random.Random(20_261_129)
    for _ in range(12):
        async with hostile_call(server) as call:
            for _ in range(60):
                fuzz(call, chance, 20)
                await asyncio.sleep(0.005)
                if call.dtls.state != "connected":
                    break
