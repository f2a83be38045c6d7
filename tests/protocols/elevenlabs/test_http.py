"""Text to speech over ElevenLabs' HTTP calls, over the tone engine."""

import asyncio
import base64
import io
import json
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from kani.core.audio.encoding import FileEncoder
from kani.core.types import SpeechRequest
from kani.protocols.elevenlabs.formats import FORMATS
from kani.protocols.elevenlabs.http.speech import speech_routes
from kani.protocols.elevenlabs.plugin import ElevenLabsSettings
from tests.protocols.elevenlabs.conftest import tone_app
from tests.support.patience import happens
from tests.support.servers.asgi import errors_in
from tests.support.servers.serving import InProcessServer
from tests.support.sessions import audio, collect, fed, spans_of
from tests.support.tone import RATE

PATH = "/v1/text-to-speech/tone_es"
TEXT = "Hola, ¿qué tal? Uno dos tres."
BREAKING = "Uno dos tres cuatro cinco. Kaputt no, kaputt sí."
MAX_TEXT = 400


@pytest.fixture
async def calls(tmp_path: Path) -> AsyncIterator[InProcessServer]:
    async with tone_app(tmp_path, KANI_ELEVENLABS_MAX_TEXT=str(MAX_TEXT), KANI_MAX_WAITING="0") as app:
        yield app


async def post(
    calls: InProcessServer, call: str = "", output_format: str | None = None, **body: Any
) -> httpx2.Response:
    """Request speech of ``TEXT``, or of the body's text."""
    params = {} if output_format is None else {"output_format": output_format}
    return await calls.post(PATH + call, json={"text": TEXT} | body, params=params)


async def truth(calls: InProcessServer, text: str = TEXT) -> tuple[Any, list[tuple[str, float]]]:
    """The core's own samples of a text, and each word with when it starts, in seconds."""
    request = SpeechRequest(voice="tone_es")
    async with fed(calls.service, text, request, low_latency=False) as session:
        chunks = await collect(session)
    words = [(text[span.start : span.end], span.start_s) for span in spans_of(chunks)]
    return audio(chunks), words


async def test_whole_file_is_core_speech(calls: InProcessServer) -> None:
    answer = await post(calls, output_format="wav_8000")
    samples, _ = await truth(calls)
    file = FileEncoder(FORMATS["wav_8000"], RATE)
    file.add(samples)
    assert answer.content == file.finish()
    with wave.open(io.BytesIO(answer.content)) as opened:
        assert opened.getframerate() == 8000 and opened.getnframes() == 8 * len(samples)
    assert answer.headers["content-length"] == str(len(answer.content))


@pytest.mark.parametrize("name", FORMATS)
async def test_every_format_has_its_media_type(calls: InProcessServer, name: str) -> None:
    codec = FORMATS[name].codec
    whole = await post(calls, "", name)
    # The format that a call has without a name.
    assert name != "mp3_44100_128" or (await post(calls)).content == whole.content
    types = {"mp3": "audio/mpeg", "pcm": "audio/pcm", "wav": "audio/wav", "opus": "audio/opus"}
    types |= {"ulaw": "audio/basic", "alaw": "audio/x-alaw-basic"}
    assert (whole.status_code, whole.headers["content-type"]) == (200, types[codec])
    streamed = await post(calls, "/stream", name)
    if codec == "wav":
        assert streamed.status_code == 400
        assert streamed.json()["detail"]["code"] == "invalid_output_format"
        return
    assert streamed.headers["content-type"] == types[codec]
    assert len(streamed.content) == len(whole.content)
    if codec != "mp3":
        assert streamed.content == whole.content


async def test_headers_have_id_cost_and_unused_fields(calls: InProcessServer) -> None:
    asked = {
        "model_id": "eleven_flash_v2_5",
        "seed": 7,
        "previous_text": "Antes.",
        "next_text": "",
        "next_request_ids": ["a"],
        "apply_text_normalization": "on",
        "voice_settings": {"stability": 0.2, "speed": 0.8, "style": 0.0},
        "some_new_field": {"a": 1},
        "language_code": None,
    }
    for call in ("", "/stream?enable_logging=false"):
        answer = await post(calls, call, **asked)
        assert answer.headers["character-cost"] == str(len(TEXT))
        assert answer.headers["request-id"] == answer.headers["x-trace-id"]
        unused = "next_request_ids, previous_text, voice_settings.stability"
        assert answer.headers["x-unused"] == unused
    assert {segment.sampling.seed for segment in calls.engine.segments} == {7}
    assert "x-unused" not in (await post(calls, voice_settings=None)).headers


async def test_speed_changes_length_and_times(calls: InProcessServer) -> None:
    lengths = {}
    for speed in (0.7, 1.0, 1.2):
        settings = {"speed": speed}
        answer = await post(
            calls, "/with-timestamps", "pcm_16000", text="unodostres", voice_settings=settings
        )
        told = answer.json()
        lengths[speed] = len(base64.b64decode(told["audio_base64"])) / 32000
        assert told["alignment"]["character_end_times_seconds"][-1] == pytest.approx(lengths[speed], abs=0.02)
    assert lengths[0.7] > 1.3 * lengths[1.0] > 1.3 * 1.15 * lengths[1.2]


def assert_times(alignment: dict[str, Any], text: str, words: list[tuple[str, float]], end_s: float) -> None:
    characters = alignment["characters"]
    starts, ends = (alignment[f"character_{edge}_times_seconds"] for edge in ("start", "end"))
    assert "".join(characters) == text
    assert len(starts) == len(ends) == len(characters)
    assert starts[0] == 0 and starts[1:] == ends[:-1]
    assert all(start <= end for start, end in zip(starts, ends, strict=True))
    at = 0
    for word, start_s in words:
        assert starts[at] == pytest.approx(start_s, abs=0.00051)
        at += len(word)
    assert ends[-1] == pytest.approx(end_s, abs=0.02)


async def test_whole_times_match_core(calls: InProcessServer) -> None:
    text = "Hola,  ¿qué tal?  😀 e\u0301 n\u0303 \u200f123 "
    answer = await post(calls, "/with-timestamps", "pcm_8000", text=text)
    told = answer.json()
    assert told.keys() == {"audio_base64", "alignment", "normalized_alignment"}
    said = "".join(told["normalized_alignment"]["characters"])
    assert said.split() == "Hola, ¿qué tal? é ñ ciento veintitrés".split()
    samples, words = await truth(calls, text)
    assert len(base64.b64decode(told["audio_base64"])) == 16 * len(samples)
    assert_times(told["alignment"], text, words, len(samples) / RATE)
    same = [("Hola", words[0][1]), ("qué", next(start for word, start in words if word == "qué"))]
    assert_times(told["normalized_alignment"], said, same, len(samples) / RATE)


@pytest.mark.parametrize("name", ["pcm_22050", "mp3_44100_128", "opus_48000_64", "ulaw_8000"])
async def test_streamed_lines_equal_whole_answer(calls: InProcessServer, name: str) -> None:
    answer = await post(calls, "/stream/with-timestamps", name)
    lines = [json.loads(line) for line in answer.content.splitlines()]
    audio = b"".join(base64.b64decode(line["audio_base64"]) for line in lines)
    plain = await post(calls, "/stream", name)
    assert audio == plain.content
    whole = await post(calls, "/with-timestamps", name)
    assert int(whole.headers["content-length"]) == len(whole.content)
    joined: dict[str, list[Any]] = {}
    said: dict[str, list[Any]] = {}
    for line in lines:
        for key, values in (line["alignment"] or {}).items():
            joined.setdefault(key, []).extend(values)
        for key, values in (line["normalized_alignment"] or {}).items():
            said.setdefault(key, []).extend(values)
    samples, words = await truth(calls)
    assert_times(joined, TEXT, words, len(samples) / RATE)
    assert said == joined
    assert len(lines) >= 3 and sum(line["alignment"] is not None for line in lines) >= 2


@pytest.mark.parametrize(
    ("normalization", "said"), [("auto", "veintiuna"), ("on", "veintiuna"), ("off", "21")]
)
async def test_normalized_alignment_has_spoken_form(
    calls: InProcessServer, normalization: str, said: str
) -> None:
    asked = {"language_code": "es", "apply_text_normalization": normalization}
    answer = await post(calls, "/with-timestamps", text="Hay 21 casas.", **asked)
    told = answer.json()
    written, spoken = told["alignment"], told["normalized_alignment"]
    assert "".join(written["characters"]) == "Hay 21 casas."
    assert "".join(spoken["characters"]) == f"Hay {said} casas."
    key = "character_start_times_seconds"
    assert written[key][4] == spoken[key][4] and written[key][6] == spoken[key][4 + len(said)]
    assert calls.engine.segments[-1].text == f"Hay {said} casas."
    assert "x-unused" not in answer.headers


@asynccontextmanager
async def streaming(calls: InProcessServer, path: str, text: str) -> AsyncIterator[httpx2.Response]:
    """The answer to a call while it comes."""
    url = calls.http_url + PATH + path
    async with httpx2.AsyncClient() as client, client.stream("POST", url, json={"text": text}) as answer:
        assert answer.status_code == 200
        yield answer


async def test_line_is_sent_before_next_is_synthesized(calls: InProcessServer) -> None:
    text = "cuatro " * 12
    # At 1 kHz the resampler holds back a second.
    calls.engine.allow = 4
    async with streaming(calls, "/stream/with-timestamps?output_format=pcm_16000", text) as answer:
        coming = answer.aiter_lines()
        lines = [json.loads(await anext(coming))]
        assert calls.engine.under_way == 1 and lines[0]["audio_base64"]
        await calls.engine.permit(None)
        lines += [json.loads(line) async for line in coming]
    assert "".join("".join(line["alignment"]["characters"]) for line in lines if line["alignment"]) == text


@pytest.mark.parametrize("path", ["", "/with-timestamps", "/stream", "/stream/with-timestamps"])
async def test_engine_failure_before_audio_is_500(calls: InProcessServer, path: str) -> None:
    answer = await post(calls, path, text="kaputt y nada más")
    assert answer.status_code == 500
    detail = answer.json()["detail"]
    assert (detail["code"], detail["status"]) == ("internal_server_error",) * 2
    assert "tone" in detail["message"] or "synthesis" in detail["message"]


@pytest.mark.parametrize("path", ["/stream", "/stream/with-timestamps"])
async def test_client_sees_broken_stream(
    calls: InProcessServer, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    came = bytearray()
    with pytest.raises(httpx2.RemoteProtocolError):
        async with streaming(calls, f"{path}?output_format=pcm_8000", BREAKING) as answer:
            async for piece in answer.aiter_raw():
                came += piece
    assert len(came) > 10_000
    # Only the engine's own: none of uvicorn.
    assert errors_in(caplog) == ["engine tone failed"]


async def test_busy_service_answers_429(calls: InProcessServer) -> None:
    calls.engine.allow = 0
    first = asyncio.create_task(post(calls))
    await happens(lambda: calls.engine.under_way)
    second = await post(calls)
    await calls.engine.permit(None)
    assert (await first).status_code == 200
    assert (second.status_code, second.headers["retry-after"]) == (429, "1")
    detail = second.json()["detail"]
    assert (detail["code"], detail["type"]) == ("system_busy", "rate_limit_error")


async def test_whole_answers_share_memory_budget(
    calls: InProcessServer,
) -> None:
    calls.service.budgets.whole_answers.limit = 100_000
    calls.service.budgets.whole_answers.small = 0
    app = Starlette(routes=speech_routes(calls.service, ElevenLabsSettings()))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://x") as client:
        for _ in range(3):
            query = {"output_format": "pcm_48000"}
            refused = await client.post(PATH, json={"text": "uno dos tres " * 20}, params=query)
            assert refused.status_code == 429 and "/stream" in refused.json()["detail"]["message"]
            small = await client.post(PATH, json={"text": "uno"}, params=query)
            assert small.status_code == 200
            streamed = await client.post(f"{PATH}/stream", json={"text": "uno dos tres " * 20})
            assert streamed.status_code == 200


@pytest.mark.parametrize("text", ["Hola \ud83d dos.", "😀🎉"])
async def test_characters_without_speech_come_back(calls: InProcessServer, text: str) -> None:
    body = json.dumps({"text": text}).encode()
    answer = await calls.post(f"{PATH}/with-timestamps", content=body)
    assert answer.status_code == 200
    assert "".join(answer.json()["alignment"]["characters"]) == text
    refused = await calls.post(PATH, content=b'{"text": "a", "model_id": "\\ud83d"}')
    assert refused.status_code == 400
