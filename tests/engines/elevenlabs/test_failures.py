"""The ElevenLabs engine where its service refuses, stalls or breaks off; and what it tells nobody."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import numpy as np
import pytest
import trustme
from websockets.datastructures import Headers
from websockets.http11 import Response

from engines.elevenlabs import engine as engine_module
from engines.elevenlabs import fallback as standing_in
from engines.elevenlabs.engine import ElevenLabsEngine, ElevenLabsUpstream
from engines.espeak.engine import EspeakEngine
from speech.engine import BackgroundLoadingEngine
from speech.errors import EngineFailed, EngineUnavailable
from speech.types import Boundary, Segment
from tests.engines.elevenlabs.elevenlabs_engine import (
    ID,
    LONG,
    TEXT,
    WITHIN_S,
    Counts,
    Typing,
    audio_of,
    in_order,
    said,
    started,
)
from tests.support import elevenlabs_service as fake
from tests.support.elevenlabs_service import (
    FINAL,
    KEY,
    RATE,
    VOICE,
    ElevenLabsService,
    Exchange,
    Frame,
    detail,
    running,
    tone,
)
from tests.support.tone import ToneEngine

TONES = "bla blub bla"


@pytest.fixture
async def service() -> AsyncIterator[ElevenLabsService]:
    """ElevenLabs, as far as this engine can tell."""
    async with running() as started:
        yield started


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other at once."""
    monkeypatch.setattr(engine_module, "TRY_AGAIN_AFTER_S", (0.0, 0.0))


async def stall(exchange: Exchange) -> None:
    """Read, and say nothing."""
    async for _ in exchange.socket:
        pass


async def close_early(exchange: Exchange) -> None:
    """Close in order before all was said."""
    await exchange.socket.close(1000, "")


async def break_off(exchange: Exchange) -> None:
    """Let the line drop."""
    exchange.socket.transport.abort()


async def go_away(exchange: Exchange) -> None:
    """Close as a server does that restarts."""
    await exchange.socket.close(1011, "internal error")


async def say_nothing(exchange: Exchange) -> None:
    """End without any sound."""
    async for _ in fake.pieces(exchange):
        pass
    await exchange.send(FINAL)
    await exchange.socket.close(1000, "")


def half_of(answer: fake.Answer) -> fake.Answer:
    """Say a second and a half of the text, then go on like ``answer``."""

    async def speak(exchange: Exchange) -> None:
        async for text in fake.pieces(exchange):
            audio, starts = tone(text)
            for frame in list(fake.frames(text, audio, starts, True, 0.0))[:6]:
                await exchange.send(frame)
            break
        await answer(exchange)

    return speak


def refusing(frame: Frame) -> fake.Answer:
    """Refuse, as the real service does."""

    async def refuse(exchange: Exchange) -> None:
        await exchange.refuse(frame)

    return refuse


# Refusals.


@pytest.mark.parametrize(
    ("frame", "sentence", "tries"),
    [
        (fake.INVALID_KEY, "ElevenLabs refused this server's API key", 1),
        (fake.NO_VOICE, "ElevenLabs knows no such voice", 1),
        (fake.NO_CREDITS, "the ElevenLabs account of this server has no credits left", 1),
        (fake.UNUSUAL, "ElevenLabs has blocked this server's account for unusual activity", 1),
        (fake.NO_TEXT_IN_TIME, "ElevenLabs waited too long for text", 1),
        ({"error": "system_busy", "message": "x"}, "ElevenLabs takes no more requests at the moment", 3),
        ({"error": "brand_new", "message": f"x {KEY}"}, "ElevenLabs failed", 1),
        ({"error": {"a": 1}, "message": "no text"}, "ElevenLabs failed", 1),
    ],
)
async def test_a_refusal_is_told_in_plain_words(
    service: ElevenLabsService, caplog: pytest.LogCaptureFixture, frame: Frame, sentence: str, tries: int
) -> None:
    """A sentence for the client, the details for the log; only what may pass is tried again."""
    service.answers = [refusing(frame)] * 4
    counts = Counts()
    async with started(service, meter=counts) as engine:
        with pytest.raises(EngineFailed) as failure:
            await said(engine)
        assert str(failure.value) == sentence
        assert len(service.exchanges) == tries == len(counts.failures)
        service.answers = []
        await said(engine)
    assert str(frame["message"]).replace(KEY, "(the key)") in caplog.text


@pytest.mark.parametrize(
    ("status", "body", "sentence", "tries"),
    [
        (401, detail("invalid_api_key", "Invalid API key"), "ElevenLabs refused this server's API key", 1),
        (429, detail("too_many_concurrent_requests", "x"), "ElevenLabs takes no more requests", 3),
        (400, detail("unsupported_model", "x"), "ElevenLabs cannot stream this server's model", 1),
        (404, detail("voice_not_found", "x"), "ElevenLabs knows no such voice", 1),
        (402, b"<html>", "no credits left", 1),
        (503, b"{}", "ElevenLabs is out of order", 3),
        (500, b'{"detail": []}', "ElevenLabs is out of order", 3),
        (418, b"[" * 5000, "ElevenLabs failed", 1),
    ],
)
async def test_so_is_one_before_the_connection_stands(
    service: ElevenLabsService, status: int, body: bytes, sentence: str, tries: int
) -> None:
    """By the code in its body, else by its status."""
    for _ in range(4):
        service.refuse_upgrade(HTTPStatus(status), body)
    async with started(service) as engine:
        with pytest.raises(EngineFailed, match=sentence):
            await said(engine)
    assert len(service.refusals) == 4 - tries


async def test_the_key_goes_nowhere_else(service: ElevenLabsService) -> None:
    """A redirect is not followed."""
    async with running() as elsewhere:
        other = Headers([("Location", elsewhere.url.replace("http", "ws") + "/v1/other")])
        service.refusals = [Response(302, "Found", other, b"")]
        async with started(service) as engine:
            with pytest.raises(EngineFailed):
                await said(engine)
    assert not elsewhere.exchanges and not service.exchanges


# Tried again, but only before the first sound.


@pytest.mark.parametrize("failing", [close_early, break_off, go_away])
async def test_what_breaks_before_the_first_sound_is_tried_again(
    service: ElevenLabsService, failing: fake.Answer
) -> None:
    """And is heard once, all of it."""
    service.answers = [failing, failing]
    async with started(service) as engine:
        chunks = await said(engine)
    assert len(service.exchanges) == 3
    assert audio_of(chunks) == tone(TEXT + " ")[0]
    in_order(chunks, TEXT)


async def test_a_text_that_is_written_is_sent_again_from_its_start(service: ElevenLabsService) -> None:
    """What came meanwhile included."""
    service.answers = [break_off]
    typing = Typing("One two")
    async with started(service) as engine:

        async def listen() -> bytes:
            async with aclosing(engine.stream(Segment("One two", ID, "en"), typing.written)) as speech:
                return audio_of([chunk async for chunk in speech])

        async with asyncio.timeout(WITHIN_S):
            listening = asyncio.create_task(listen())
            while len(service.exchanges) < 2:
                await asyncio.sleep(0)
            typing.add(" three.", Boundary.SENTENCE)
            heard = await listening
    assert service.exchanges[1].text == "One two three."
    assert heard == tone("One two three. ")[0]


async def test_it_is_not_tried_for_ever(service: ElevenLabsService) -> None:
    """Two more tries, then the client is told."""
    service.answers = [break_off] * 9
    async with started(service) as engine:
        with pytest.raises(EngineFailed, match="broke off"):
            await said(engine)
    assert len(service.exchanges) == 3


@pytest.mark.parametrize("failing", [close_early, break_off, go_away, refusing(fake.NO_CREDITS)])
async def test_nothing_is_said_twice(service: ElevenLabsService, failing: fake.Answer) -> None:
    """After the first sound a failure ends the speech, whoever could stand in; what was said stays."""
    service.answers = [half_of(failing)]
    fallback = ToneEngine()
    chunks = []
    async with started(service, fallback) as engine:
        with pytest.raises(EngineFailed):
            async with aclosing(engine.synthesize(Segment(LONG, ID, "en"))) as speech:
                async for chunk in speech:
                    chunks.append(chunk)
        assert len(service.exchanges) == 1 and not fallback.segments
    heard = audio_of(chunks)
    assert heard == tone(LONG)[0][: len(heard)] and len(heard) > 2 * RATE


async def test_a_service_that_says_nothing_is_not_waited_for(service: ElevenLabsService) -> None:
    """Neither before nor amid the speech; nor does rubbish, or times alone, count as something."""

    async def chatter(exchange: Exchange) -> None:
        while True:
            await exchange.send({"audio": None, "alignment": None, "isFinal": None})
            await exchange.send("rubbish")
            await asyncio.sleep(0.02)

    async with started(service, timeout_s=0.3) as engine:
        for answer in (stall, half_of(stall), chatter, half_of(chatter)):
            service.answers = [answer]
            with pytest.raises(EngineFailed, match="did not answer in time"):
                await said(engine)
    assert len(service.exchanges) == 4


@pytest.mark.alone
async def test_a_host_that_takes_calls_and_says_nothing_is_left() -> None:
    """Neither the start nor a client waits for it longer than it may take; leaving waits for nothing."""
    lines = []

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(writer)
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(hold, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with silent:
        engine = ElevenLabsEngine(
            ElevenLabsUpstream(KEY, VOICE, base_url=f"http://127.0.0.1:{port}", timeout_s=0.2)
        )
        async with asyncio.timeout(300):
            await engine.start()
            with pytest.raises(EngineFailed, match="did not answer in time"):
                await said(engine)
        patient = ElevenLabsEngine(ElevenLabsUpstream(KEY, VOICE, base_url=f"http://127.0.0.1:{port}"))
        patient._info = engine.info
        known = len(lines)
        async with asyncio.timeout(300):
            listening = asyncio.create_task(said(patient))
            while len(lines) == known:
                await asyncio.sleep(0)
            listening.cancel()
            await asyncio.wait([listening])
            await asyncio.gather(*(line.wait_closed() for line in lines))


async def test_nothing_but_rubbish_ends_it(service: ElevenLabsService) -> None:
    """Its number is bounded, however fast it comes."""

    async def flood(exchange: Exchange) -> None:
        while True:
            await exchange.send("rubbish")
            await asyncio.sleep(0)

    service.answers = [flood]
    async with started(service) as engine:
        with pytest.raises(EngineFailed):
            await said(engine)


async def test_a_message_without_end_is_not_taken(service: ElevenLabsService) -> None:
    """Neither is what is larger than minutes of speech."""

    async def burst(exchange: Exchange) -> None:
        await exchange.send({"audio": "A" * (9 << 20)})

    service.answers = [burst] * 3
    async with started(service) as engine:
        with pytest.raises(EngineFailed):
            await said(engine)


async def test_speech_without_a_sound_is_a_failure(service: ElevenLabsService) -> None:
    """A text is not silently left out."""
    service.answers = [say_nothing]
    async with started(service) as engine:
        with pytest.raises(EngineFailed, match="no sound"):
            await said(engine)


# Left early.


@pytest.mark.parametrize("moment", ["connecting", "waiting for sound", "amid the speech", "waiting for text"])
async def test_leaving_closes_the_socket_at_once(service: ElevenLabsService, moment: str) -> None:
    """Whatever it stands at, however the service takes it."""
    service.answers = [half_of(stall) if moment == "amid the speech" else stall]
    typing = Typing("One two")
    async with started(service) as engine, asyncio.timeout(WITHIN_S):
        begun, heard = asyncio.Event(), asyncio.Event()
        segment = Segment("One two" if moment == "waiting for text" else LONG, ID, "en")

        async def listen() -> None:
            written = moment == "waiting for text"
            speech = engine.stream(segment, typing.written) if written else engine.synthesize(segment)
            async with aclosing(speech) as chunks:
                begun.set()
                async for _ in chunks:
                    heard.set()

        listening = asyncio.create_task(listen())
        reached = {
            "connecting": begun,
            "waiting for sound": service.opened,
            "amid the speech": heard,
            "waiting for text": typing.waits,
        }
        await reached[moment].wait()
        listening.cancel()
        await asyncio.wait([listening])
        assert listening.cancelled()
        for exchange in service.exchanges:
            await exchange.gone.wait()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("ElevenLabs")]


async def test_a_crowd_leaves_nothing_behind(service: ElevenLabsService) -> None:
    """Many at once, some of whom leave at any moment: the others hear all of theirs."""
    async with started(service) as engine, asyncio.timeout(300):
        before = asyncio.all_tasks()

        async def speak(number: int) -> None:
            text = f"Number {number} says something that nobody else says."
            speaking = asyncio.create_task(said(engine, text))
            if number % 3:
                assert audio_of(await speaking) == tone(text + " ")[0]
                return
            for _ in range(number):
                await asyncio.sleep(0)
            speaking.cancel()
            await asyncio.wait([speaking])

        await asyncio.gather(*(speak(number) for number in range(60)))
        await asyncio.gather(*(exchange.gone.wait() for exchange in service.exchanges))
        left = {task for task in asyncio.all_tasks() - before if task.get_name().startswith("ElevenLabs")}
    assert not left


# Whoever stands in.


@pytest.mark.parametrize("writes", [True, False])
async def test_another_engine_stands_in(
    service: ElevenLabsService, caplog: pytest.LogCaptureFixture, writes: bool
) -> None:
    """It says the whole text in its own voice, at the same rate, also where that is still written."""
    service.answers = [refusing(fake.NO_CREDITS)]
    fallback, counts = ToneEngine(writes=writes), Counts()
    typing = Typing("bla blub")
    async with started(service, fallback, counts) as engine, asyncio.timeout(WITHIN_S):
        segment = Segment("bla blub", ID, "es")

        async def listen() -> list[str]:
            async with aclosing(engine.stream(segment, typing.written)) as speech:
                chunks = [chunk async for chunk in speech]
            assert sum(len(chunk.samples) for chunk in chunks) == RATE
            assert all(chunk.sample_rate == RATE for chunk in chunks)
            text = typing.written.text
            return [text[span.start : span.end] for chunk in chunks for span in chunk.spans]

        listening = asyncio.create_task(listen())
        await service.opened.wait()
        typing.add(" bla", Boundary.SENTENCE)
        assert await listening == ["bla", "blub", "bla"]
    assert {segment.voice for segment in fallback.segments} == {"tone_es"}
    assert counts.failures == ["quota_exceeded"] and counts.stand_ins == ["tone"]
    assert "tone speaks a segment in ElevenLabs' place" in caplog.text


async def test_who_stands_in_tells_its_decoder_and_is_waited_for(service: ElevenLabsService) -> None:
    """Where it goes on loading behind its speech, and changes who makes its sound."""
    loaded = asyncio.Event()

    class Loading(ToneEngine):
        async def wait_until_loaded(self) -> None:
            """See ``LoadingEngine.settled``."""
            await loaded.wait()
            self.info = replace(self.info, decoder="fast")

    async with started(service, Loading()) as engine, asyncio.timeout(WITHIN_S):
        assert isinstance(engine, BackgroundLoadingEngine) and engine.info.decoder == ""
        settled = asyncio.create_task(engine.wait_until_loaded())
        await asyncio.sleep(0)
        assert not settled.done()
        loaded.set()
        await settled
        assert engine.info.decoder == "fast"
    async with started(service, ToneEngine()) as engine, asyncio.timeout(WITHIN_S):
        await engine.wait_until_loaded()
    async with started(service) as engine, asyncio.timeout(WITHIN_S):
        await engine.wait_until_loaded()


@pytest.mark.alone
async def test_after_a_failure_the_next_sentences_are_not_kept_waiting(
    service: ElevenLabsService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ElevenLabs is asked again after a while."""
    service.answers = [stall]
    fallback = ToneEngine()
    async with started(service, fallback, timeout_s=0.2) as engine:
        for _ in range(3):
            await said(engine, TONES)
        assert len(service.exchanges) == 1 and len(fallback.segments) == 3
        monkeypatch.setattr(standing_in, "PREFERRED_S", 0.0)
        engine._stand_in.activate()
        assert audio_of(await said(engine, TONES)) == tone(TONES + " ")[0]


async def test_who_does_not_know_the_language_does_not_stand_in(service: ElevenLabsService) -> None:
    """The failure is told instead."""
    service.answers = [refusing(fake.NO_CREDITS)]
    async with started(service, ToneEngine()) as engine:
        with pytest.raises(EngineFailed, match="credits"):
            async with aclosing(engine.synthesize(Segment("今天", ID, "zh"))) as speech:
                await anext(speech)


async def test_espeak_stands_in(service: ElevenLabsService) -> None:
    """A real engine at another rate: its own speech, resampled, its words timed as it timed them."""
    service.answers = [break_off] * 3
    alone = EspeakEngine()
    async with started(service, EspeakEngine()) as engine:
        assert engine.info.speed_range == (0.7, 1.2)
        chunks = await said(engine, "Hello there, old friend.")
    await alone.start()
    own = [
        chunk async for chunk in alone.synthesize(Segment("Hello there, old friend.", "espeak:en-us", "en"))
    ]
    await alone.stop()
    seconds = sum(chunk.duration_s for chunk in own)
    assert sum(len(chunk.samples) for chunk in chunks) == pytest.approx(seconds * RATE, abs=1)
    assert [span for chunk in chunks for span in chunk.spans] == [
        span for chunk in own for span in chunk.spans
    ]
    assert np.abs(np.concatenate([chunk.samples for chunk in chunks])).max() > 0.1


# The start.


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (ElevenLabsUpstream("", VOICE), "set ELEVEN_API_KEY"),
        (ElevenLabsUpstream("two\nlines", VOICE), "ELEVEN_API_KEY has to be"),
        (ElevenLabsUpstream(KEY, ""), "set ELEVEN_VOICE_ID"),
        (ElevenLabsUpstream(KEY, "../v1/user"), "ELEVEN_VOICE_ID has to be"),
        (ElevenLabsUpstream(KEY, VOICE, model="a b"), "ELEVEN_MODEL has to be"),
        (ElevenLabsUpstream(KEY, VOICE, model="eleven_v3"), "eleven_flash_v2_5"),
        (ElevenLabsUpstream(KEY, VOICE, base_url="http://api.example"), "https"),
        (ElevenLabsUpstream(KEY, VOICE, base_url="http://[::ffff:10.0.0.1]:80"), "https"),
    ],
)
async def test_what_it_cannot_start_with(settings: ElevenLabsUpstream, reason: str) -> None:
    """The sentence names the variable; the key is in none."""
    with pytest.raises(EngineUnavailable, match=reason) as failure:
        await ElevenLabsEngine(settings).start()
    assert KEY not in str(failure.value) and KEY not in repr(settings)


async def test_a_key_that_is_refused_does_not_start(service: ElevenLabsService) -> None:
    """Nobody would ever be spoken to; whoever stands in is stopped again."""
    told = []

    class Watched(ToneEngine):
        async def start(self) -> None:
            told.append("start")

        async def stop(self) -> None:
            told.append("stop")

    with pytest.raises(EngineUnavailable, match="set ELEVEN_API_KEY to a valid one"):
        async with started(service, Watched(), api_key="sk_other"):
            pass
    assert told == ["start", "stop"]


@pytest.mark.parametrize(
    "answer",
    [
        Response(401, "Unauthorized", Headers(), detail("missing_permissions", "voices_read")),
        Response(503, "Unavailable", Headers(), b"down"),
        Response(200, "OK", Headers(), b"[" * 9999),
        Response(200, "OK", Headers(), b'{"voices": 7}'),
        Response(200, "OK", Headers(), b'{"voices": [1, {"voice_id": "a/b"}, {"voice_id": 3}]}'),
    ],
)
async def test_without_the_list_the_configured_voice_speaks(
    service: ElevenLabsService, answer: Response
) -> None:
    """A key may be one that only speaks, and the service may be down for a moment."""
    service.voices = answer
    async with started(service) as engine:
        assert [voice.id for voice in engine.info.voices] == [ID]
        in_order(await said(engine), TEXT)


async def test_a_host_that_is_not_there_is_only_a_warning(
    service: ElevenLabsService, caplog: pytest.LogCaptureFixture
) -> None:
    """It may come back; meanwhile clients are told."""
    async with started(service, base_url="http://127.0.0.1:9") as engine:
        with pytest.raises(EngineFailed, match="cannot be reached"):
            await said(engine)
    assert "only the voice of ELEVEN_VOICE_ID can be named" in caplog.text


async def test_it_speaks_through_tls_and_trusts_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host whose certificate nobody vouches for gets neither key nor text."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    async with running(tls=context) as service:
        async with started(service) as stranger:
            with pytest.raises(EngineFailed, match="cannot be reached"):
                await said(stranger)
        assert not service.voices_asked and not service.exchanges
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        async with started(service) as engine:
            assert len(engine.info.voices) == 2
            in_order(await said(engine), TEXT)


async def test_no_proxy_of_the_environment_is_used(
    service: ElevenLabsService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key and the text go to the host that is configured."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    async with started(service) as engine:
        assert len(engine.info.voices) == 2
        in_order(await said(engine), TEXT)


async def test_the_key_is_in_no_log(service: ElevenLabsService, caplog: pytest.LogCaptureFixture) -> None:
    """Not even where everything is logged, whatever goes wrong."""
    caplog.set_level(logging.DEBUG)
    service.answers = [refusing({"error": "other", "message": f"your key {KEY} is odd"}), break_off]
    async with started(service) as engine:
        with pytest.raises(EngineFailed):
            await said(engine)
        await said(engine)
        service.refuse_upgrade(HTTPStatus.BAD_REQUEST, detail("quota_exceeded", f"key {KEY}"))
        with pytest.raises(EngineFailed):
            await said(engine)
    assert caplog.records and KEY not in caplog.text
