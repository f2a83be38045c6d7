"""The ElevenLabs engine where its service refuses, stalls or breaks off."""

import asyncio
import base64
import logging
import ssl
from collections.abc import Iterator
from contextlib import aclosing
from http import HTTPStatus
from pathlib import Path

import pytest
import trustme
from prometheus_client import CollectorRegistry
from websockets.datastructures import Headers
from websockets.http11 import Response

from kani.core.errors import EngineFailed, EngineUnavailable
from kani.core.types import Boundary, Segment
from kani.engines.elevenlabs import engine as engine_module
from kani.engines.elevenlabs.engine import ElevenLabsEngine
from kani.engines.elevenlabs.plugin import UpstreamSettings
from kani.engines.upstream import relay as relay_module
from tests.engines.elevenlabs import conftest
from tests.engines.elevenlabs.conftest import TEXT, Typing, account, assert_in_order, audio_of, said, started
from tests.support import elevenlabs_service as fake
from tests.support.elevenlabs_service import KEY, RATE, ElevenLabsService, Exchange, running, tone
from tests.support.patience import WITHIN_S, happens
from tests.support.tone import ToneEngine

TONES = "bla blub bla"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Between tries; and the key is in no log."""
    monkeypatch.setattr(relay_module, "RETRY_DELAYS_S", (0.0, 0.0))
    caplog.set_level(logging.DEBUG)
    yield
    assert KEY not in caplog.text


async def stall(exchange: Exchange) -> None:
    async for _ in exchange.socket:
        pass


async def break_off(exchange: Exchange) -> None:
    exchange.socket.transport.abort()


def repeating(*frames: fake.Frame | str, pause_s: float = 0.0) -> fake.Answer:
    async def answer(exchange: Exchange) -> None:
        while True:
            for frame in frames:
                await exchange.send(frame)
            await asyncio.sleep(pause_s)

    return answer


def closing(code: int, reason: str = "") -> fake.Answer:
    return lambda exchange: exchange.socket.close(code, reason)


def refusing(frame: fake.Frame) -> fake.Answer:
    return lambda exchange: exchange.refuse(frame)


ENDINGS = {"early": closing(1000), "broken": break_off, "away": closing(1011, "internal error")}


def half_then(answer: fake.Answer) -> fake.Answer:
    """Speak a second and a half of the text, then go on as ``answer``."""

    async def speak(exchange: Exchange) -> None:
        text = await anext(fake.pieces(exchange))
        for frame in list(fake.frames(text, *tone(text), True, 0.0))[:6]:
            await exchange.send(frame)
        await answer(exchange)

    return speak


async def failure_of(engine: ElevenLabsEngine, text: str = TEXT) -> str:
    """The sentence that the client receives."""
    with pytest.raises(EngineFailed) as failure:
        await said(engine, text)
    return str(failure.value)


def http(status: int, body: bytes = b"", **headers: str) -> Response:
    return Response(status, HTTPStatus(status).phrase, Headers(headers), body)


KEY_REFUSED, FAILED = "ElevenLabs refused this server's API key", "ElevenLabs failed"
BUSY, UNAVAILABLE = "ElevenLabs takes no more requests at the moment", "ElevenLabs is out of order"
MODEL = "ElevenLabs cannot stream this server's model"
VOICE, CREDITS = "ElevenLabs knows no such voice", "the ElevenLabs account of this server has no credits left"


@pytest.mark.parametrize(
    ("refusal", "sentence", "tries"),
    [
        (fake.INVALID_KEY, KEY_REFUSED, 1),
        (fake.NO_VOICE, VOICE, 1),
        (fake.NO_CREDITS, CREDITS, 1),
        (fake.UNUSUAL, "ElevenLabs has blocked this server's account for unusual activity", 1),
        (fake.NO_TEXT_IN_TIME, "ElevenLabs waited too long for text", 1),
        ({"error": "system_busy", "message": "x"}, BUSY, 3),
        ({"error": "brand_new", "message": f"x {KEY}"}, FAILED, 1),
        ({"error": {"a": 1}, "message": "no text"}, FAILED, 1),
        (http(401, fake.detail("invalid_api_key", "Invalid API key")), KEY_REFUSED, 1),
        (http(429, fake.detail("too_many_concurrent_requests", "x")), BUSY, 3),
        (http(400, fake.detail("unsupported_model", f"key {KEY}")), MODEL, 1),
        (http(404, fake.detail("voice_not_found", "x")), VOICE, 1),
        (http(402, b"<html>"), CREDITS, 1),
        (http(503, b"{}"), UNAVAILABLE, 3),
        (http(500, b'{"detail": []}'), UNAVAILABLE, 3),
        (http(418, b"[" * 5000), FAILED, 1),
    ],
)
async def test_refusal_gives_a_sentence_and_a_log_line(
    service: ElevenLabsService,
    caplog: pytest.LogCaptureFixture,
    refusal: fake.Frame | Response,
    sentence: str,
    tries: int,
) -> None:
    """A handshake's by the code in its body, or else by its status. Only passing ones are tried again."""
    is_frame, registry = isinstance(refusal, dict), CollectorRegistry()
    left = service.answers if is_frame else service.refusals
    left += [refusing(refusal) if is_frame else refusal] * 4
    async with started(service, None, registry) as engine:
        assert await failure_of(engine) == sentence
        assert 4 - len(left) == tries == sum(conftest.counted(registry, "kani_elevenlabs_failures").values())
        left.clear()
        await said(engine)
    assert not is_frame or str(refusal["message"]).replace(KEY, "(the key)") in caplog.text


async def test_redirect_is_not_followed(service: ElevenLabsService) -> None:
    async with running() as elsewhere:
        service.refusals = [http(302, Location=elsewhere.url.replace("http", "ws") + "/v1/other")]
        async with started(service) as engine:
            await failure_of(engine)
    assert not elsewhere.exchanges and not service.exchanges


@pytest.mark.parametrize("failing", ENDINGS)
async def test_failure_before_audio_is_retried(service: ElevenLabsService, failing: str) -> None:
    service.answers = [ENDINGS[failing]] * 2
    async with started(service) as engine:
        chunks = await said(engine)
    assert len(service.exchanges) == 3
    assert audio_of(chunks) == tone(TEXT + " ")[0]
    assert_in_order(chunks, TEXT)


async def test_retry_sends_incremental_text_from_its_start(service: ElevenLabsService) -> None:
    service.answers = [break_off]
    typing = Typing("One two")
    async with started(service) as engine, asyncio.timeout(WITHIN_S):
        listening = asyncio.create_task(conftest.said_while_written(engine, typing))
        await happens(lambda: len(service.exchanges) >= 2)
        typing.add(" three.", Boundary.SENTENCE)
        audio = audio_of(await listening)
    assert service.exchanges[1].text == "One two three."
    assert audio == tone("One two three. ")[0]


async def test_retries_messages_and_their_size_are_limited(service: ElevenLabsService) -> None:
    async def say_nothing(exchange: Exchange) -> None:
        async for _ in fake.pieces(exchange):
            pass
        await exchange.send(fake.FINAL)
        await exchange.socket.close(1000, "")

    burst = {"audio": "A" * (9 << 20)}
    async with started(service) as engine:
        for answer, sentence, tries in (
            (break_off, "broke off", 3),
            (repeating("invalid"), "ElevenLabs failed", 1),
            (lambda exchange: exchange.send(burst), "broke off", 3),
            (say_nothing, "no sound", 1),
        ):
            service.answers = [answer] * 9
            assert sentence in await failure_of(engine)
            assert len(service.answers) == 9 - tries, sentence


@pytest.mark.parametrize("failing", [*ENDINGS.values(), refusing(fake.NO_CREDITS)])
async def test_failure_after_audio_ends_the_speech(service: ElevenLabsService, failing: fake.Answer) -> None:
    """Neither a retry nor the fallback engine repeats what was spoken."""
    service.answers = [half_then(failing)]
    fallback = ToneEngine()
    chunks = []
    async with started(service, fallback) as engine:
        with pytest.raises(EngineFailed):
            async with aclosing(engine.synthesize(Segment(conftest.LONG, conftest.ID, "en"))) as speech:
                async for chunk in speech:
                    chunks.append(chunk)
        assert len(service.exchanges) == 1 and not fallback.segments
    audio = audio_of(chunks)
    assert audio == tone(conftest.LONG)[0][: len(audio)] and len(audio) > 2 * RATE


async def test_silent_service_times_out(service: ElevenLabsService) -> None:
    """Before and amid the speech; invalid messages, or messages without audio, are no answer."""
    chatter = repeating({"audio": None, "alignment": None, "isFinal": None}, "invalid", pause_s=0.02)
    async with started(service, timeout_s=0.3) as engine:
        for answer in (stall, half_then(stall), chatter, half_then(chatter)):
            service.answers = [answer]
            assert "did not answer in time" in await failure_of(engine)
    assert len(service.exchanges) == 4


@pytest.mark.parametrize("pcm", [b"\0@", b"@", b"\0\0", b"\0@" * 100])
async def test_service_that_drips_times_out(
    service: ElevenLabsService, monkeypatch: pytest.MonkeyPatch, pcm: bytes
) -> None:
    """It is never silent for long."""
    monkeypatch.setattr(engine_module, "SECONDS_EACH", 0.0)
    drip = {"audio": base64.b64encode(pcm).decode(), "alignment": None, "isFinal": None}
    async with started(service, timeout_s=0.5) as engine:
        service.answers = [repeating(drip, pause_s=0.01)]
        assert "did not answer in time" in await failure_of(engine)


@pytest.mark.alone
async def test_silent_host_times_out_and_is_left_at_once() -> None:
    lines = []

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(writer)
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(hold, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with silent:
        settings = account(url=f"http://127.0.0.1:{port}")
        engine = conftest.new_engine(settings, timeout_s=0.2)
        async with asyncio.timeout(WITHIN_S):
            await engine.start()
            assert "did not answer in time" in await failure_of(engine)
        patient = conftest.new_engine(settings)
        patient._info = engine.info
        known = len(lines)
        async with asyncio.timeout(WITHIN_S):
            listening = asyncio.create_task(said(patient))
            await happens(lambda: len(lines) != known)
            listening.cancel()
            await asyncio.wait([listening])
            await asyncio.gather(*(line.wait_closed() for line in lines))


@pytest.mark.parametrize("moment", ["connecting", "waiting for sound", "amid the speech", "waiting for text"])
async def test_cancelled_speech_closes_the_socket_at_once(service: ElevenLabsService, moment: str) -> None:
    service.answers = [half_then(stall) if moment == "amid the speech" else stall]
    typing = Typing("One two")
    async with started(service) as engine, asyncio.timeout(WITHIN_S):
        begun, received = asyncio.Event(), asyncio.Event()
        segment = Segment("One two" if moment == "waiting for text" else conftest.LONG, conftest.ID, "en")

        async def listen() -> None:
            written = moment == "waiting for text"
            speech = engine.stream(segment, typing.text) if written else engine.synthesize(segment)
            async with aclosing(speech) as chunks:
                begun.set()
                async for _ in chunks:
                    received.set()

        listening = asyncio.create_task(listen())
        reached = {"connecting": begun, "waiting for sound": service.opened, "amid the speech": received}
        await reached.get(moment, typing.waits).wait()
        listening.cancel()
        await asyncio.wait([listening])
        assert listening.cancelled()
        for exchange in service.exchanges:
            await exchange.gone.wait()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("ElevenLabs")]


@pytest.mark.parametrize("writes", [True, False])
async def test_fallback_speaks_the_whole_text(
    service: ElevenLabsService, caplog: pytest.LogCaptureFixture, writes: bool
) -> None:
    """In its own voice, at the same rate, also where the text is still being written."""
    service.answers = [refusing(fake.NO_CREDITS)]
    fallback, registry = ToneEngine(writes=writes), CollectorRegistry()
    typing = Typing("bla blub")
    async with started(service, fallback, registry) as engine:
        listening = asyncio.create_task(conftest.said_while_written(engine, typing, "es"))
        await service.opened.wait()
        typing.add(" bla", Boundary.SENTENCE)
        chunks = await listening
    assert sum(len(chunk.samples) for chunk in chunks) == RATE
    assert {chunk.sample_rate for chunk in chunks} == {RATE}
    assert conftest.words_of(TONES, chunks) == [("bla", 0, 300), ("blub", 300, 700), ("bla", 700, 1000)]
    assert {segment.voice for segment in fallback.segments} == {"tone_es"}
    assert conftest.counted(registry, "kani_elevenlabs_failures") == {"quota_exceeded": 1}
    assert conftest.counted(registry, "kani_elevenlabs_fallbacks") == {"tone": 1}
    assert "falling back to tone for one segment" in caplog.text


@pytest.mark.alone
async def test_fallback_stays_active_in_its_languages_unless_one_voice_failed(
    service: ElevenLabsService,
) -> None:
    service.answers = [refusing(fake.NO_VOICE), stall]
    fallback = ToneEngine()
    async with started(service, fallback, timeout_s=0.2) as engine:
        for _ in range(4):
            await said(engine, TONES)
        assert len(service.exchanges) == 2 and len(fallback.segments) == 4
        service.answers = [refusing(fake.NO_CREDITS)]
        with pytest.raises(EngineFailed, match="credits"):
            await anext(engine.synthesize(Segment("今天", conftest.ID, "zh")))
        engine._avoided_until_s = 0.0
        assert audio_of(await said(engine, TONES)) == tone(TONES + " ")[0]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (account(api_key=None), "set ELEVEN_API_KEY.*--engine auto"),
        (account(api_key="two\nlines"), "ELEVEN_API_KEY has to be"),
        (account(voice_id=None), "set ELEVEN_VOICE_ID"),
        (account(voice_id="..v1:user"), "ELEVEN_VOICE_ID has to be"),
        (account(model="eleven_v3"), "eleven_flash_v2_5"),
        (account(url="http://api.example"), "https"),
        (account(url="http://[::ffff:10.0.0.1]:80"), "https"),
    ],
)
async def test_invalid_settings_refuse_the_start(settings: UpstreamSettings, reason: str) -> None:
    """The sentence names the variable; none holds the key."""
    with pytest.raises(EngineUnavailable, match=reason) as failure:
        await conftest.new_engine(settings).start()
    assert KEY not in str(failure.value) and KEY not in repr(settings)


async def test_refused_key_refuses_the_start_and_stops_the_fallback(service: ElevenLabsService) -> None:
    calls = []

    class Watched(ToneEngine):
        async def start(self) -> None:
            calls.append("start")

        async def stop(self) -> None:
            calls.append("stop")

    with pytest.raises(EngineUnavailable, match="set ELEVEN_API_KEY to a valid one"):
        async with started(service, Watched(), api_key="sk_other"):
            pass
    assert calls == ["start", "stop"]


@pytest.mark.parametrize(
    "answer",
    [
        http(401, fake.detail("missing_permissions", "voices_read")),
        http(503, b"down"),
        http(200, b"[" * 9999),
        http(200, b'{"voices": 7}'),
        http(200, b'{"voices": [1, {"voice_id": "a/b"}, {"voice_id": 3}]}'),
    ],
)
async def test_configured_voice_needs_no_list_of_voices(service: ElevenLabsService, answer: Response) -> None:
    service.voices = answer
    async with started(service) as engine:
        assert [voice.id for voice in engine.info.voices] == [conftest.ID]
        assert_in_order(await said(engine), TEXT)


async def test_tls_certificate_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with an untrusted certificate gets neither key nor text."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    async with running(tls=context) as service:
        async with started(service) as untrusting:
            assert "cannot be reached" in await failure_of(untrusting)
        assert not service.voices_asked and not service.exchanges
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        async with started(service) as engine:
            assert len(engine.info.voices) == 2
            assert_in_order(await said(engine), TEXT)


async def test_proxies_are_not_asked(
    service: ElevenLabsService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A host that cannot be reached is only a warning at the start."""
    async with started(service, url="http://127.0.0.1:9") as engine:
        assert "cannot be reached" in await failure_of(engine)
    assert "its voices are not listed" in caplog.text
    for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    async with started(service) as engine:
        assert len(engine.info.voices) == 2
        assert_in_order(await said(engine), TEXT)
