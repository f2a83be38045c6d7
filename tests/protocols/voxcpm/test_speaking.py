"""Speech through VoxCPM's WebSocket: what comes, in what order, and for which request."""

import asyncio
from itertools import pairwise

import pytest

from tests.clients.voxcpm.wire import NON_STREAMING, STREAMING_CHUNK, Answer, Client, Frame, opened
from tests.protocols.conftest import Serve
from tests.protocols.health import counters
from tests.support.patience import WITHIN_S
from tests.support.servers.app_server import AppServer

HELLO = "Hola, esto es una prueba."
LONG = "Había una vez, en un país muy lejano, una niña que vivía con su abuela cerca del bosque. " * 50


def order(answer: Answer) -> list[str]:
    return [
        "frame" if isinstance(message, Frame) else message.get("state", message["type"])
        for message in answer.messages
    ]


def shares(answer: Answer) -> list[tuple[str, float, str]]:
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


async def test_stream_has_order_of_original(talk: Client) -> None:
    answer = await talk.speak(HELLO)
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
    fields = {"request_id", "sequence", "sample_rate", "is_final", "spans", "spoken"}
    assert [set(frame.metadata) - fields for frame in frames] == [{"speaker"}, *[set()] * (len(frames) - 1)]
    result = answer.last["result"]
    speaker = {name: result[name] for name in ("engine", "voice", "language", "cloning")}
    assert frames[0].metadata["speaker"] == speaker
    assert result["samples"] == len(answer.samples) and result["chunks"] == len(frames)
    assert result["sample_rate"] == frames[0].metadata["sample_rate"] == 22_050
    assert result["duration"] == len(answer.samples) / 22_050
    assert_tiled(answer, HELLO)


async def test_whole_answer_has_order_of_original(talk: Client) -> None:
    answer = await talk.speak(HELLO, mode="non_streaming")
    assert order(answer) == ["queued", "processing", "generating", "encoding", "frame", "complete"]
    told = [("generating", 0.5, "Generating audio..."), ("encoding", 0.9, "Encoding audio...")]
    assert shares(answer)[2:] == told
    (frame,) = answer.frames
    assert frame.kind == NON_STREAMING
    assert set(frame.metadata) == {"request_id", "sample_rate", "duration", "spans", "spoken"}
    result = answer.last["result"]
    assert (result["chunks"], result["samples"]) == (1, len(answer.samples))
    assert frame.metadata["duration"] == result["duration"] == len(answer.samples) / 22_050
    assert_tiled(answer, HELLO)


async def test_progress_stops_at_four_fifths_and_ids_come_again(talk: Client) -> None:
    told = shares(await talk.speak(LONG[:800]))
    assert told[-1][1] == 0.8
    assert [share for _, share, _ in told] == sorted(share for _, share, _ in told)
    first = await talk.speak(HELLO, "again")
    assert (await talk.speak("", "again")).last["type"] == "error"
    assert (await talk.speak(HELLO, "again")).pcm == first.pcm
    await talk.alive()
    answer = await talk.speak("…")
    assert answer.last["result"]["duration"] == pytest.approx(0.2, abs=0.01)
    assert not answer.samples.any()


async def test_result_has_voice_and_unused_parameters(talk: Client) -> None:
    given = {"cfg_value": 2.5, "inference_timesteps": 10, "normalize": True, "denoise": None, "seed": 7}
    ours = {"voice_id": "espeak:es", "language": "spanish", "speed": 1.5, "foo": 1}
    result = (await talk.speak(HELLO, **given, **ours)).last["result"]
    plain = (await talk.speak(HELLO, speed=1.0)).last["result"]
    assert (result["engine"], result["voice"], result["language"]) == ("espeak", "espeak:es", "es")
    assert (result["cloning"], result["truncated"]) == ("none", False)
    assert result["unused"] == ["cfg_value", "inference_timesteps", "seed", "foo"]
    assert result["duration"] < plain["duration"] / 1.3
    assert plain["unused"] == plain["passages"] == []


@pytest.mark.parametrize("text", ["  🙂 Hola, 你好.\n", "Hola \ud83d amigo \udc00."])
async def test_spans_count_code_points(talk: Client, text: str) -> None:
    assert_tiled(await talk.speak(text), text)


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
async def test_known_subprotocol_is_accepted(
    espeak_app: AppServer, offered: list[str] | None, chosen: str | None
) -> None:
    async with opened(espeak_app.url, subprotocols=offered) as client:
        assert client.socket.subprotocol == chosen
        await client.alive()


async def test_queue_position_is_reported(serve: Serve) -> None:
    server = await serve(TTS_MAX_CONCURRENT="1")
    server.engine.allow = 0
    async with opened(server.url) as client:
        names = [f"r{number}" for number in range(12)]
        for name in names:
            await client.request(name, HELLO, mode="non_streaming")
        # The engine waits until every request has been read: a request that is read later may find no queue.
        async with asyncio.timeout(WITHIN_S):
            while (await counters(server))["sessions"] < len(names):
                await asyncio.sleep(0.02)
        await server.engine.permit(None)
        answers = await client.answers(*names)
    waited = [[each for each in answer.told if "position" in each] for answer in answers.values()]
    assert any(waited)
    for answer, messages in zip(answers.values(), waited, strict=True):
        assert order(answer)[-5:] == ["processing", "generating", "encoding", "frame", "complete"]
        assert set(order(answer)[:-5]) == {"queued"}
        positions = [message["position"] for message in messages]
        assert positions == sorted(positions, reverse=True)
        told = [f"Request queued, number {position} in line" for position in positions]
        assert [message["message"] for message in messages] == told


async def test_client_timeout_is_applied(serve: Serve) -> None:
    for limit in ("0", "60"):
        server = await serve(KANI_REQUEST_TIMEOUT=limit)
        server.engine.allow = 0
        async with opened(server.url, additional_headers={"X-Request-Timeout": "0.05"}) as client:
            answer = await client.speak(HELLO, mode="non_streaming")
            assert answer.last["error"]["code"] == "TIMEOUT" and "0.05 s" in answer.last["error"]["message"]
            await client.alive()
    await server.engine.permit(None)
    for senseless in ("0", "-1", "nan", "1e9", "soon", ""):
        async with opened(server.url, additional_headers={"X-Request-Timeout": senseless}) as client:
            assert (await client.speak("Sí.")).last["type"] == "complete"
