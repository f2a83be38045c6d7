"""Speech through VoxCPM's WebSocket: what comes, in which order, and whose it is."""

from __future__ import annotations

import asyncio
import re
import signal
from itertools import pairwise
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.clients.voxcpm.wire import NON_STREAMING, STREAMING_CHUNK, Answer, Client, Frame, opened
from tests.conftest import ServerProcess, StartServer

HELLO = "Hola, esto es una prueba."
LONG = "Había una vez, en un país muy lejano, una niña que vivía con su abuela cerca del bosque. " * 50


def order(answer: Answer) -> list[str]:
    """What came, without the audio's own numbers."""
    return [
        "frame" if isinstance(message, Frame) else message.get("state", message["type"])
        for message in answer.messages
    ]


def shares(answer: Answer) -> list[tuple[str, float, str]]:
    """All progress that was told."""
    return [
        (message["state"], message["progress"], message["message"])
        for message in answer.told
        if message["type"] == "progress"
    ]


def assert_tiled(answer: Answer, text: str) -> None:
    """Assert that the spans cover every character once, in order, without gaps in time."""
    spans = answer.spans
    assert spans[0][0] == 0 and spans[0][2] == 0 and spans[-1][1] == len(text)
    for (_, end, _, end_s), (start, _, start_s, _) in pairwise(spans):
        assert (start, start_s) == (end, end_s)
    assert spans[-1][3] == pytest.approx(answer.last["result"]["duration"], abs=0.02)


async def test_a_stream_comes_in_the_originals_order(espeak_server: ServerProcess) -> None:
    """queued, processing, generating, frames with progress after every fifth, complete."""
    async with opened(espeak_server.url) as client:
        answer = await client.speak(HELLO, mode="streaming")
    frames = answer.frames
    expected = ["queued", "processing", "generating"]
    for number in range(1, len(frames) + 1):
        expected += ["frame", "generating"] if number % 5 == 0 else ["frame"]
    assert order(answer) == [*expected, "complete"] and len(frames) > 10
    assert shares(answer)[:5] == [
        ("queued", 0.0, "Request queued"),
        ("processing", 0.0, "Processing request"),
        ("generating", 0.1, "Generating audio..."),
        ("generating", 0.15, "Generated 5 chunks..."),
        ("generating", 0.2, "Generated 10 chunks..."),
    ]
    assert [frame.metadata["sequence"] for frame in frames] == list(range(len(frames)))
    assert [frame.metadata["is_final"] for frame in frames] == [False] * (len(frames) - 1) + [True]
    assert all(frame.kind == STREAMING_CHUNK and 0 < len(frame.pcm) <= 4096 for frame in frames)
    assert set(frames[0].metadata) == {"request_id", "sequence", "sample_rate", "is_final", "spans"}
    result = answer.last["result"]
    assert result["samples"] == len(answer.samples) and result["chunks"] == len(frames)
    assert result["sample_rate"] == frames[0].metadata["sample_rate"] == 22_050
    assert result["duration"] == len(answer.samples) / 22_050
    assert_tiled(answer, HELLO)


async def test_an_answer_comes_whole_in_the_originals_order(espeak_server: ServerProcess) -> None:
    """One frame between encoding and complete; its spans tile the text as well."""
    async with opened(espeak_server.url) as client:
        answer = await client.speak(HELLO, mode="non_streaming")
    assert order(answer) == ["queued", "processing", "generating", "encoding", "frame", "complete"]
    assert shares(answer)[2:] == [
        ("generating", 0.5, "Generating audio..."),
        ("encoding", 0.9, "Encoding audio..."),
    ]
    (frame,) = answer.frames
    assert frame.kind == NON_STREAMING
    assert set(frame.metadata) == {"request_id", "sample_rate", "duration", "spans"}
    result = answer.last["result"]
    assert (result["chunks"], result["samples"]) == (1, len(answer.samples))
    assert frame.metadata["duration"] == result["duration"] == len(answer.samples) / 22_050
    assert_tiled(answer, HELLO)


async def test_a_long_answer_comes_whole(espeak_server: ServerProcess) -> None:
    """Minutes of it, in one frame, while others are answered."""
    async with opened(espeak_server.url) as client:
        await client.request("long", LONG, mode="non_streaming")
        await client.request("short", HELLO)
        answers = await client.answers("long", "short")
    assert len(answers["long"].samples) > 120 * 22_050 and len(answers["long"].frames) == 1
    assert_tiled(answers["long"], LONG)


async def test_progress_stops_at_four_fifths(espeak_server: ServerProcess) -> None:
    """However many chunks there are."""
    async with opened(espeak_server.url) as client:
        told = shares(await client.speak(LONG[:800]))
    assert told[-1][1] == 0.8
    assert [share for _, share, _ in told] == sorted(share for _, share, _ in told)


async def test_the_mode_is_streaming_where_none_is_given(espeak_server: ServerProcess) -> None:
    """As the document's table says."""
    async with opened(espeak_server.url) as client:
        answer = await client.speak(HELLO)
    assert {frame.kind for frame in answer.frames} == {STREAMING_CHUNK}


async def test_the_result_says_who_spoke_and_what_was_of_no_use(espeak_server: ServerProcess) -> None:
    """The engine, its voice and language; VoxCPM's parameters, which espeak-ng does not have, by name."""
    given = {"cfg_value": 2.5, "inference_timesteps": 10, "normalize": True, "denoise": None, "seed": 7}
    ours = {"voice_id": "espeak:es", "language": "spanish", "speed": 1.5, "foo": 1}
    async with opened(espeak_server.url) as client:
        result = (await client.speak(HELLO, **given, **ours)).last["result"]
        plain = (await client.speak(HELLO, speed=1.0)).last["result"]
    assert (result["engine"], result["voice"], result["language"]) == ("espeak", "espeak:es", "es")
    assert (result["cloning"], result["truncated"]) == ("none", False)
    assert result["unused"] == ["cfg_value", "inference_timesteps", "seed", "foo"]
    assert result["duration"] < plain["duration"] / 1.3
    assert plain["unused"] == plain["passages"] == []


async def test_what_is_said_and_how_is_the_clients(espeak_server: ServerProcess) -> None:
    """An emotion and how much of it, a length, a lexicon, figures spelled out or not: all of use."""
    text = "Kani cuenta hasta 1000000."
    async with opened(espeak_server.url) as client:

        async def seconds(**params: Any) -> float:
            result = (await client.speak(text, language="es", **params)).last["result"]
            assert result["unused"] == []
            return float(result["duration"])

        plain = await seconds(normalize=True)
        assert await seconds() == plain
        assert await seconds(normalize=False) == pytest.approx(plain, rel=0.5)
        assert await seconds(emotion="sad") > 1.05 * plain
        assert await seconds(emotion="sad", emotion_strength=0.0) == plain
        assert await seconds(lexicon={"Kani": "cangrejo cangrejo"}) > 1.2 * plain
        assert await seconds(duration=1.3 * plain) == pytest.approx(1.3 * plain, rel=0.02)
        refused = (await client.speak(text, language="es", duration=10 * plain)).last["error"]
    assert refused["code"] == "INVALID_PARAMS"
    assert refused["details"]["errors"]["duration"].startswith("this text can be said in ")


async def test_requests_of_one_connection_are_told_apart(espeak_server: ServerProcess) -> None:
    """Ten at once, streamed and whole: each gets what it gets alone, and nothing of another."""
    texts = {f"r{number}": f"Número {number}. {HELLO}" for number in range(10)}
    modes = {name: ("streaming", "non_streaming")[at % 2] for at, name in enumerate(texts)}
    async with opened(espeak_server.url) as client:
        alone = {name: await client.speak(text, name, mode=modes[name]) for name, text in texts.items()}
        for name, text in texts.items():
            await client.request(name, text, mode=modes[name])
        together = await client.answers(*texts)
    for name, answer in together.items():
        assert answer.pcm == alone[name].pcm and answer.spans == alone[name].spans
        assert answer.last["result"] == alone[name].last["result"]


async def test_an_id_may_be_used_again_and_the_connection_stays_open(espeak_server: ServerProcess) -> None:
    """Once its request is over, however it ended."""
    async with opened(espeak_server.url) as client:
        first = await client.speak(HELLO, "again")
        assert (await client.speak("", "again")).last["type"] == "error"
        assert (await client.speak(HELLO, "again")).pcm == first.pcm
        await client.alive()


async def test_an_id_in_any_script_comes_back(espeak_server: ServerProcess) -> None:
    """In messages and frames alike, half an emoji too."""
    async with opened(espeak_server.url) as client:
        for request_id in ("ñandú 🙂", "half \ud83d", '"quoted\\"', "x" * 200):
            answer = await client.speak("Sí.", request_id)
            assert answer.last["type"] == "complete"


async def test_spans_count_whole_characters(espeak_server: ServerProcess) -> None:
    """Code points, of the text as it was sent: white space around it and emoji count."""
    text = "  🙂 Hola, 你好.\n"
    async with opened(espeak_server.url) as client:
        assert_tiled(await client.speak(text), text)


async def test_a_text_with_nothing_to_say_is_a_short_silence(espeak_server: ServerProcess) -> None:
    """It is complete, as there is something in it."""
    async with opened(espeak_server.url) as client:
        answer = await client.speak("…")
    assert answer.last["result"]["duration"] == pytest.approx(0.2, abs=0.01)
    assert not answer.samples.any()


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["voxcpm-tts-v1"], "voxcpm-tts-v1"),
        (["voxcpm-tts", "Bearer.secret"], "voxcpm-tts"),
        (["Bearer.secret"], None),
        (["other"], None),
        (None, None),
    ],
)
async def test_sub_protocols_are_answered(
    espeak_server: ServerProcess, offered: list[str] | None, chosen: str | None
) -> None:
    """Those that are known, and never one with a key in it."""
    async with opened(espeak_server.url, subprotocols=offered) as client:
        assert client.socket.subprotocol == chosen
        await client.alive()


async def test_a_ping_is_answered_while_speech_is_on_its_way(espeak_server: ServerProcess) -> None:
    """With its own timestamp."""
    async with opened(espeak_server.url) as client:
        await client.request("long", LONG)
        await client.send("ping", timestamp=12.5)
        while (message := await client.receive()) and (
            isinstance(message, Frame) or message["type"] != "pong"
        ):
            pass
        assert isinstance(message, dict) and message["timestamp"] == 12.5


@pytest.mark.slow
async def test_the_place_in_the_queue_is_told_as_it_changes(start_server: StartServer) -> None:
    """As progress, by a number, until it is its turn."""
    server = start_server("--engine", "espeak", TTS_MAX_CONCURRENT="1", KANI_AHEAD_SECONDS="600")
    async with opened(server.url) as client:
        names = [f"r{number}" for number in range(12)]
        for name in names:
            await client.request(name, LONG[:2000], mode="non_streaming")
        answers = await client.answers(*names)
    positions = {
        name: [message["position"] for message in answer.told if "position" in message]
        for name, answer in answers.items()
    }
    assert any(positions.values())
    for name, answer in answers.items():
        assert order(answer)[-5:] == ["processing", "generating", "encoding", "frame", "complete"]
        assert set(order(answer)[:-5]) == {"queued"}
        assert positions[name] == sorted(positions[name], reverse=True)
        for message in answer.told:
            if "position" in message:
                assert message["message"] == f"Request queued, number {message['position']} in line"


@pytest.mark.slow
async def test_a_client_may_say_how_long_it_would_wait(start_server: StartServer) -> None:
    """Its request ends with TIMEOUT then; a time that makes no sense is not looked at."""
    server = start_server("--engine", "kokoro")
    async with opened(server.url, additional_headers={"X-Request-Timeout": "0.05"}) as client:
        answer = await client.speak(LONG[:1000], mode="non_streaming")
        assert answer.last["error"]["code"] == "TIMEOUT" and "0.05 s" in answer.last["error"]["message"]
        await client.alive()
    for senseless in ("0", "-1", "nan", "1e9", "soon", ""):
        async with opened(server.url, additional_headers={"X-Request-Timeout": senseless}) as client:
            assert (await client.speak("Sí.")).last["type"] == "complete"


@pytest.mark.slow
async def test_a_slow_reader_holds_up_nobody(start_server: StartServer) -> None:
    """The engine rests until it reads, others are spoken to meanwhile, and nothing is lost."""
    server = start_server("--engine", "espeak", TTS_MAX_CONCURRENT="1", KANI_AHEAD_SECONDS="1")
    async with (
        opened(server.url, max_queue=1) as slow,
        opened(server.url) as other,
        httpx.AsyncClient(base_url=server.http_url) as http,
    ):

        async def spoken_s() -> float:
            found = re.search(
                r"^kani_speech_seconds_total\{[^}]*\} (\S+)", (await http.get("/metrics")).text, re.M
            )
            return float(found[1]) if found else 0.0

        for number in range(8):
            await slow.request(f"r{number}", LONG)
        made_s, before_s = await spoken_s(), -1.0
        while not made_s or made_s != before_s:
            await asyncio.sleep(0.3)
            before_s, made_s = made_s, await spoken_s()
        answer = await asyncio.wait_for(other.speak(HELLO), 300)
        assert answer.last["type"] == "complete"
        answers = await slow.answers(*(f"r{number}" for number in range(8)))
    heard_s = sum(len(answer.samples) for answer in answers.values()) / 22_050
    assert all(answer.last["type"] == "complete" for answer in answers.values())
    assert made_s < heard_s / 2


@pytest.mark.slow
async def test_a_server_that_stops_ends_each_request_once(start_server: StartServer) -> None:
    """With an error, then the connection with 1001."""
    server = start_server("--engine", "kokoro", KANI_SHUTDOWN_SECONDS="0.2")
    async with opened(server.url) as client:
        for name in ("a", "b"):
            await client.request(name, LONG)
        while not isinstance(await client.receive(), Frame):
            pass
        server.send_signal(signal.SIGTERM)
        ended = []
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                message = await client.receive()
                if isinstance(message, dict) and message["type"] != "progress":
                    ended.append(message)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
    assert sorted(message["request_id"] for message in ended) == ["a", "b"]
    assert {message["error"]["message"] for message in ended} == {"the server is stopping"}
    assert server.wait() == 0


async def test_speech_under_way_is_finished_before_a_server_stops(start_server: StartServer) -> None:
    """To its last message."""
    server = start_server("--engine", "espeak")
    async with opened(server.url) as client:
        await client.request("one", LONG)
        while not isinstance(await client.receive(), Frame):
            pass
        server.send_signal(signal.SIGTERM)
        answer = await client.answer("one")
        assert answer.last["type"] == "complete" and answer.frames[-1].metadata["is_final"]


async def test_what_dashboards_read(start_server: StartServer) -> None:
    """The original's names: requests by how they ended, errors by code, and nobody left at the end."""
    server = start_server("--engine", "espeak")

    async def ended(client: Client, request_id: str) -> None:
        await client.send("cancel", request_id=request_id)
        await client.answer(request_id)

    async with httpx.AsyncClient(base_url=server.http_url) as http, opened(server.url) as client:
        await client.speak(HELLO)
        await client.speak(HELLO, mode="non_streaming")
        await client.speak(HELLO, voice_id="nobody")
        await client.speak("")
        await client.request("long", LONG)
        await ended(client, "long")
        told = (await http.get("/metrics")).text
        for line in (
            'voxcpm_tts_requests_total{mode="streaming",status="success"} 1.0',
            'voxcpm_tts_requests_total{mode="non_streaming",status="success"} 1.0',
            'voxcpm_tts_requests_total{mode="streaming",status="failed"} 1.0',
            'voxcpm_tts_requests_total{mode="streaming",status="cancelled"} 1.0',
            'voxcpm_tts_errors_total{error_code="VOICE_NOT_FOUND"} 1.0',
            'voxcpm_tts_errors_total{error_code="INVALID_PARAMS"} 1.0',
            'voxcpm_tts_request_duration_seconds_count{mode="streaming"} 3.0',
            "voxcpm_tts_audio_duration_seconds_count 2.0",
            "voxcpm_tts_active_connections 1.0",
            "voxcpm_tts_queue_length 0.0",
            "voxcpm_tts_running_tasks 0.0",
        ):
            assert f"\n{line}\n" in told, line
