"""The engine `openai`: over this server itself, and over one that breaks in every way; and the recogniser."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import numpy as np
import pytest

from kani.core.errors import EngineFailed, EngineUnavailable
from kani.core.transcriber import TranscribedSegment, TranscriptionOptions
from kani.core.types import Samples, Segment
from kani.core.voices.catalogue import VoiceCatalogue, VoiceStore
from kani.engines.openai import engine as engine_module
from kani.engines.openai import recognizer as recognizer_module
from kani.engines.openai import service as service_module
from kani.engines.openai.engine import OpenAIEngine
from kani.engines.openai.plugin import OpenAIUpstreamSettings
from kani.engines.openai.recognizer import OpenAIRecognizer
from kani.engines.plugin import Resources
from kani.engines.upstream import relay as relay_module
from kani.runtime import bounded_http
from kani.runtime.voice_detector import CHUNK_SAMPLES
from tests.engines.faulty import FAULTS, FaultyEngine
from tests.engines.packages import life
from tests.engines.relaying import relaying
from tests.protocols.raw_site import Answer, Site, answer, endless, opened, redirect
from tests.runtime.recognition.test_stream import ScriptedVoice
from tests.support.patience import WITHIN_S, happens
from tests.support.recorded import RecordedEngine, noise
from tests.support.servers.app_server import AppServer, app_server

RATE = 24_000
TEXT = "Hello there, this is a sentence."
SEGMENT = Segment(TEXT, "openai:alloy", "en", max_seconds=5.0)
RESOURCES = Resources(Path("no-such-folder"))
PCM = (np.sin(np.arange(RATE) / 20) * 8000).astype("<i2").tobytes()


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    with app_server(tmp_path_factory.mktemp("upstream"), KANI_API_KEYS="secret") as running:
        yield running


@pytest.fixture(scope="module")
def relay(upstream: AppServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    given = {"KANI_UPSTREAM": f"{upstream.http_url}/v1/", "KANI_UPSTREAM_KEY": "secret"}
    with app_server(tmp_path_factory.mktemp("relay"), KANI_ENGINE="openai", **given) as running:
        yield running


def spoken(server: AppServer, voice: str, text: str, **fields: Any) -> Samples:
    body = {"model": "tts-1", "voice": voice, "input": text, "response_format": "pcm", **fields}
    key = {"Authorization": "Bearer secret"}
    answered = httpx2.post(f"{server.http_url}/v1/audio/speech", json=body, headers=key)
    assert answered.status_code == 200, answered.text
    return np.frombuffer(answered.content, "<i2").astype(np.float32) / 32768


def sounding(samples: Samples) -> Samples:
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    return samples[loud[0] : loud[-1]]


@pytest.mark.parametrize(("voice", "text"), [("espeak:en", "Hello."), ("espeak:es", "Hola a todos.")])
def test_samples_are_the_servers(upstream: AppServer, relay: AppServer, voice: str, text: str) -> None:
    direct, relayed = spoken(upstream, voice, text), spoken(relay, f"openai:{voice}", text)
    assert np.array_equal(sounding(direct), sounding(relayed))


def test_tempo_times_and_numbers_are_made_here(upstream: AppServer, relay: AppServer) -> None:
    """The text of several sentences comes in segments; the server's own tempo is not asked for."""
    text = "The 21 birds sing. They fly away."
    voice = "openai:espeak:en"
    normal, fast = spoken(relay, voice, text), spoken(relay, voice, text, speed=2.0)
    assert len(fast) == pytest.approx(len(normal) / 2, rel=0.2)
    body = {"model": "tts-1", "voice": voice, "input": text}
    timed = httpx2.post(f"{relay.http_url}/dev/captioned_speech", json=body).text
    words = [word["word"] for line in timed.splitlines() for word in json.loads(line)["timestamps"]]
    assert words[:3] == ["The", "21", "birds"] and len(words) >= 7
    voices = httpx2.get(f"{relay.http_url}/v1/audio/voices").json()["voices"]
    assert {"openai:espeak:en", "openai:espeak:es"} <= {one["id"] for one in voices}


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with opened() as running:
        yield running


def started(
    site: Site, fallback: Any = None, model: str | None = None, **given: Any
) -> AbstractAsyncContextManager[OpenAIEngine]:
    settings = OpenAIUpstreamSettings(url=site.url("/v1"), **given)
    return life.started(OpenAIEngine(settings, relaying(fallback, model=model), silence_s=0.3))


def streamed(pieces: Iterable[bytes]) -> Answer:
    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: audio/pcm\r\ntransfer-encoding: chunked\r\n\r\n")
        for piece in pieces:
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    return write


@pytest.mark.parametrize(
    "kind",
    [
        *("audio/pcm; Rate = 24000", 'audio/PCM;rate="24000"', "audio/L16 ;\tRATE=24000; channels=1"),
        *('audio/pcm; x="a;rate=48000"; rate=24000', "audio/pcm; rate=", "", "audio/pcm;" + "rate=1" * 5000),
    ],
)
async def test_rate_of_the_type_is_read_as_it_may_be_written(site: Site, kind: str) -> None:
    site.answers[SPEECH] = answer(PCM, f"content-type: {kind}")
    async with started(site) as engine:
        if "rate=1" in kind:
            with pytest.raises(EngineFailed, match="cannot be read"):
                await life.chunks_of(engine, SEGMENT)
        else:
            assert await life.chunks_of(engine, SEGMENT)


async def silent(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


SPEECH = "/v1/audio/speech"


async def test_pieces_of_any_length_are_one_stream_that_ends_with_the_segment(site: Site) -> None:
    site.answers[SPEECH] = streamed([PCM[:101], PCM[101:102], PCM[102:999], PCM[999:]])
    async with started(site) as engine:
        made = await life.chunks_of(engine, SEGMENT)
        site.answers[SPEECH] = streamed(repeat(PCM))
        endless = await life.chunks_of(engine, SEGMENT)
    longest = SEGMENT.max_seconds + engine_module.LONGER_S
    assert longest <= endless[-1].end_s < longest + 2
    samples = np.concatenate([chunk.samples for chunk in made])
    assert np.array_equal(samples, np.frombuffer(PCM, "<i2").astype(np.float32) / 32768)
    assert [chunk.start_s for chunk in made] == sorted(chunk.start_s for chunk in made)
    (span,) = made[-1].spans
    assert (span.start, span.end, span.start_s) == (0, len(TEXT), 0.0)
    assert span.end_s == pytest.approx(1.0)
    request = site.heads[-1]
    assert request.startswith(f"POST {SPEECH} ") and "authorization" not in request.lower()


@pytest.mark.parametrize(
    ("reply", "reason", "tries"),
    [
        (answer(b"{}", status="400 Bad Request"), "refused the request", 1),
        (answer(b"nope", status="401 Unauthorized"), "refused this server's key", 1),
        (redirect("http://127.0.0.1:1/"), "refused the request", 1),
        (answer(b"", status="429 Too Many Requests"), "takes no more requests", 3),
        (answer(b"", status="500 Internal Server Error"), "is out of order", 3),
        (b"", "broke off before all was sent", 3),
        (b"HTTP/9 what\r\n\r\n", "broke off before all was sent", 3),
        (silent, "did not answer in time", 1),
        (answer(PCM, "content-type: audio/wav"), "cannot be read", 1),
        *(
            (answer(PCM, f"content-type: {kind}"), "cannot be read", 1)
            for kind in (
                "audio/L16; rate=16000",
                "audio/pcm; Rate = 48000",
                'AUDIO/PCM;RATE="16000"',
                'audio/pcm; x="a;rate=24000"; rate=44100',
                "audio/pcm; rate*=utf-8''48000",
                "audio/pcm; rate=24000; Channels=2",
            )
        ),
        *(
            (streamed([first[:1], first[1:3], first[3:], PCM]), "cannot be read", 1)
            for first in (b"RIFF", b"ID3\3", b"OggS", b"fLaC")
        ),
        (streamed([b"R", b"I", b"F", b"F", PCM]), "cannot be read", 1),
        (streamed([b"RIF"]), "sent no sound", 1),
        (endless(b"", b"HTTP/1.1 100 C\r\n\r\n"), "cannot be read", 1),
        (answer(PCM, "content-encoding: gzip"), "cannot be read", 1),
        (answer(b"{}", "content-type: application/json"), "cannot be read", 1),
        (answer(b"RIFF" + PCM), "cannot be read", 1),
        (answer(b""), "sent no sound", 1),
        (answer(bytes(RATE)), "sent no sound", 1),
        (streamed(repeat(bytes(1 << 16))), "sent no sound", 1),
    ],
)
async def test_broken_answer_is_told_in_words(
    site: Site, monkeypatch: pytest.MonkeyPatch, reply: Answer, reason: str, tries: int
) -> None:
    monkeypatch.setattr(relay_module, "RETRY_DELAYS_S", (0.0, 0.0))
    site.answers[SPEECH] = reply
    async with started(site) as engine:
        with pytest.raises(EngineFailed, match=rf"^the upstream server .*{reason}"):
            await life.chunks_of(engine, SEGMENT)
    assert sum(head.startswith("POST") for head in site.heads) == tries


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
DRIPS = [
    (HEAD + b"content-length: 100000\r\n\r\n", b"A"),
    (CHUNKED, b"1\r\nA\r\n"),
    (CHUNKED + b"1\r\nA\r\n0\r\n", b"a: b\r\n"),
    (b"HTTP/1.1 500 No\r\n\r\n", b"A"),
    (HEAD + b"a: ", b"A"),
    (b"", b"HTTP/1.1 100 C\r\n\r\n"),
]
"""Answers that are never silent for long, and have no end."""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_http, "HEAD_S", 0.5)
    monkeypatch.setattr(service_module, "LIST_S", 0.5)
    monkeypatch.setattr(service_module, "SECONDS_EACH", 0.01)


@pytest.mark.parametrize(("head", "piece"), DRIPS)
async def test_speech_that_drips_ends_in_time(site: Site, impatient: None, head: bytes, piece: bytes) -> None:
    site.answers[SPEECH] = endless(head, piece, pause_s=0.01)
    async with asyncio.timeout(WITHIN_S), started(site) as engine:
        with pytest.raises(EngineFailed, match=r"^the upstream server did not answer in time"):
            await life.chunks_of(engine, SEGMENT)


async def test_faulty_fallback_fails_in_words(site: Site) -> None:
    """Its rate is converted before the session sees it, and what yields nothing would never reach it."""
    site.answers[SPEECH] = answer(b"", status="401 Unauthorized")
    async with started(site, fallback=FaultyEngine()) as engine:
        for name, (_, reason) in FAULTS.items():
            with pytest.raises(EngineFailed, match=reason):
                await life.chunks_of(engine, replace(SEGMENT, text=name))
        assert await life.chunks_of(engine, replace(SEGMENT, text="one"))


async def test_fallback_speaks_what_fails(site: Site) -> None:
    """After a failure of all requests the server is not asked for a while; another language is not its."""
    fallback = RecordedEngine(noise(0.5), "en")
    site.answers[SPEECH] = answer(b"", status="401 Unauthorized")
    async with started(site, fallback=fallback) as engine:
        for _ in range(2):
            assert sum(len(chunk.samples) for chunk in await life.chunks_of(engine, SEGMENT)) == len(
                fallback.samples
            )
        with pytest.raises(EngineFailed, match="key"):
            await life.chunks_of(engine, Segment("Hola.", "openai:alloy", "es"))
    assert [segment.voice for segment in fallback.segments] == ["one", "one"]
    assert sum(head.startswith("POST") for head in site.heads) == 2


async def test_settings_and_lists_describe_the_engine(site: Site) -> None:
    """Lists that cannot be read are no trouble."""
    eva = {"id": "eva", "language": "Spanish", "gender": "female"}
    odd = [None, 5, "", "d e", "\ud800", "\u202ef", "\0", "g" * 201, {"name": 5}, {"id": "a b"}]
    voices = [eva, "tom", {"voice_id": "b"}, {"id": None, "name": "c"}, {"id": "tom"}, *odd]
    site.answers["/v1/audio/voices"] = answer(json.dumps({"voices": voices}).encode())
    site.answers["/v1/models"] = answer(b'{"data": [{"id": "only"}]}')
    async with started(site) as engine:
        info = engine.info
    assert [voice.id for voice in info.voices] == [f"openai:{name}" for name in ("eva", "tom", "b", "c")]
    assert (info.version, dict(info.default_voices)) == ("only", {"es": "openai:eva"})
    given = {"voices": ("tom", "eva"), "languages": ("en", "es"), "model": "m", "language_field": "lang"}
    site.answers[SPEECH] = answer(PCM)
    async with started(site, **given) as engine:
        info = engine.info
        await life.chunks_of(engine, SEGMENT)
    assert dict(info.default_voices) == {"en": "openai:tom", "es": "openai:eva"} and info.version == "m"
    for body in (b"[", b"5", b'{"voices": 5}', b"null"):
        site.answers["/v1/audio/voices"] = site.answers["/v1/models"] = answer(body)
        async with started(site) as engine:
            assert [voice.id for voice in engine.info.voices] == ["openai:alloy"], body


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "set KANI_UPSTREAM"),
        ({"url": "http://example.org/v1", "api_key": "k"}, "https only"),
        ({"url": "https://example.org/v1", "api_key": "a b"}, "KANI_UPSTREAM_KEY has to be"),
    ],
)
async def test_settings_that_cannot_be_used(given: dict[str, Any], reason: str) -> None:
    for made in (
        OpenAIEngine(OpenAIUpstreamSettings(**given), relaying()),
        OpenAIRecognizer(OpenAIUpstreamSettings(**given), RESOURCES),
    ):
        with pytest.raises(EngineUnavailable, match=reason):
            await made.start()


@pytest.mark.parametrize(
    "url", ["http://h:70000/v1", "http://h:0/v1", "http://h:x", "http://u:p@h", "ftp://h", "h", "http://["]
)
def test_address_that_is_none(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        OpenAIUpstreamSettings(url=url)


async def test_refused_key_ends_the_start(site: Site) -> None:
    site.answers["/v1/audio/voices"] = answer(b"", status="401 Unauthorized")
    with pytest.raises(EngineUnavailable, match="KANI_UPSTREAM_KEY"):
        async with started(site):
            pass
    site.answers[PATH] = answer(b"", status="401 Unauthorized")
    with pytest.raises(EngineUnavailable, match="refused this server's key"):
        async with hearing(site):
            pass


async def test_voices_of_a_server_that_comes_later_are_listed(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The catalogue has them without a restart; a list that is refused is not asked for again."""
    monkeypatch.setattr(relay_module, "LATER_DELAYS_S", (0.01,))
    monkeypatch.setattr(relay_module, "START_S", WITHIN_S)
    down = answer(b"", status="503 Service Unavailable")
    site.answers["/v1/audio/voices"] = down
    async with started(site, model="m") as engine:
        catalogue = VoiceCatalogue([engine], VoiceStore(tmp_path), None)
        assert [voice.id for voice in catalogue.list()] == ["openai:alloy"]
        await happens(lambda: len(site.heads) > 2)
        site.answers["/v1/audio/voices"] = answer(b'{"voices": [{"id": "eva", "language": "es"}]}')
        await happens(lambda: [voice.id for voice in catalogue.list()] == ["openai:eva"])
        assert catalogue.resolve(None, "es").voice == "openai:eva"
        asked = len(site.heads)
        await engine.stop()
    assert len(site.heads) == asked
    site.answers["/v1/audio/voices"] = down
    async with started(site, model="m"):
        site.answers["/v1/audio/voices"] = answer(b"", status="401 Unauthorized")
        await happens(lambda: "not asked for again" in caplog.text)


HEARD = {"text": "Hello, world.", "language": "english", "words": [("Hello", 0.1, 0.4), ("world", 0.5, 0.9)]}


def transcript(**fields: Any) -> bytes:
    given = HEARD | fields
    words = [dict(zip(("word", "start", "end"), word, strict=True)) for word in given["words"]]
    return answer(json.dumps(given | {"words": words}).encode())


def hearing(site: Site) -> AbstractAsyncContextManager[OpenAIRecognizer]:
    settings = OpenAIUpstreamSettings(url=site.url("/v1"))
    return life.started(OpenAIRecognizer(settings, RESOURCES, silence_s=0.3))


@pytest.fixture
def voiced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every moment that is not silent has a voice."""
    detector = SimpleNamespace(recording=ScriptedVoice, stream=ScriptedVoice)
    monkeypatch.setattr(recognizer_module, "VoiceDetector", lambda: detector)


PATH = "/v1/audio/transcriptions"


async def transcribed(recognizer: OpenAIRecognizer, **options: Any) -> list[TranscribedSegment]:
    async def audio() -> AsyncGenerator[Samples, None]:
        yield np.full(16_000 // CHUNK_SAMPLES * CHUNK_SAMPLES, 0.1, np.float32)

    async with aclosing(recognizer.transcribe(audio(), TranscriptionOptions(**options))) as segments:
        return [segment async for segment in segments]


async def test_words_have_the_servers_times_the_texts_punctuation_and_come_live(
    site: Site, voiced: None
) -> None:
    # It is sent after 0.32 s of silence, as it begins with speech.
    late = [(word, start + 0.32, end + 0.32) for word, start, end in HEARD["words"]]
    site.answers[PATH] = transcript(words=late)

    async def audio() -> AsyncGenerator[Samples, None]:
        for _ in range(20):
            yield np.full(1280, 0.1, np.float32)

    async with hearing(site) as recognizer:
        (segment,) = await transcribed(recognizer)
        assert not recognizer.info.recordings_only
        site.answers[PATH] = transcript()
        async with aclosing(recognizer.recognize(audio(), "en")) as events:
            words = [event.text async for event in events if hasattr(event, "text")]
    assert (segment.text.strip(), segment.language) == ("Hello, world.", "en")
    assert [(word.text, round(word.start_s, 3)) for word in segment.words] == [
        ("Hello,", 0.1),
        ("world.", 0.5),
    ]
    assert words == ["Hello,", "world."]


@pytest.mark.parametrize("words", [[], [("Hello", 0.1, 0.4)], [("Hello", 0.9, 0.4), ("world", 0.5, 99.0)]])
async def test_words_without_good_times_share_the_voice(site: Site, voiced: None, words: Any) -> None:
    site.answers[PATH] = transcript(words=words)
    async with hearing(site) as recognizer:
        (segment,) = await transcribed(recognizer)
    edges = [edge for word in segment.words for edge in (word.start_s, word.end_s)]
    assert len(edges) == 4 and edges == sorted(edges) and edges[-1] <= 1.0


async def test_model_that_tells_no_times_is_asked_without(site: Site, voiced: None) -> None:
    """And tells no language: the text does."""

    plain = answer(json.dumps({"text": "Buenos días, ¿cómo está usted?"}).encode())
    replies = chain([answer(b"verbose_json is not supported", status="400 Bad Request")], repeat(plain))

    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write(next(replies))
        await writer.drain()

    site.answers[PATH] = reply
    async with hearing(site) as recognizer:
        (segment,) = await transcribed(recognizer)
    assert (segment.text.strip(), segment.language) == ("Buenos días, ¿cómo está usted?", "es")


async def test_refused_recording_says_nothing_of_the_times(site: Site, voiced: None) -> None:
    """They are asked for again: each is sent twice."""
    site.answers[PATH] = transcript()
    async with hearing(site) as recognizer:
        site.answers[PATH] = answer(b"", status="413 Too Large")
        begun = len(site.heads)
        for tries in (2, 4):
            with pytest.raises(EngineFailed, match="refused the request"):
                await transcribed(recognizer)
            assert len(site.heads) - begun == tries


@pytest.mark.parametrize(
    "reply",
    [
        *(answer(b"{"), answer(b'{"text": 5}'), answer(b"", status="500 No"), silent),
        *(answer(b"x" * (2 << 20)), answer(b'{"text": "%s"}' % (b"a " * 6000))),
    ],
)
async def test_broken_transcript_is_told_in_words(
    site: Site, voiced: None, monkeypatch: pytest.MonkeyPatch, reply: Answer
) -> None:
    monkeypatch.setattr(recognizer_module, "RETRY_S", 0.0)
    site.answers[PATH] = transcript()
    async with hearing(site) as recognizer:
        site.answers[PATH] = reply
        with pytest.raises(EngineFailed, match=r"^the upstream server "):
            await transcribed(recognizer)


@pytest.mark.parametrize(("head", "piece"), DRIPS)
async def test_transcript_that_drips_ends_in_time(
    site: Site, voiced: None, impatient: None, head: bytes, piece: bytes
) -> None:
    site.answers[PATH] = transcript()
    async with asyncio.timeout(WITHIN_S), hearing(site) as recognizer:
        site.answers[PATH] = endless(head, piece, pause_s=0.01)
        with pytest.raises(EngineFailed, match=r"^the upstream server did not answer in time"):
            await transcribed(recognizer)


@pytest.mark.parametrize(("head", "piece"), [*DRIPS, (b"", b"")])
async def test_start_does_not_wait_for_the_server(
    site: Site, monkeypatch: pytest.MonkeyPatch, head: bytes, piece: bytes
) -> None:
    """The recogniser is measured, and the engine's voices are listed, once it answers."""
    for module in (relay_module, recognizer_module):
        monkeypatch.setattr(module, "START_S", 0.1)
    monkeypatch.setattr(relay_module, "LATER_DELAYS_S", (0.01,))
    monkeypatch.setattr(service_module, "LIST_S", 0.2)
    monkeypatch.setattr(service_module, "SECONDS_EACH", 0.01)
    lists = ("/v1/models", "/v1/audio/voices")
    site.answers |= dict.fromkeys((*lists, PATH), endless(head, piece, pause_s=0.01))
    async with asyncio.timeout(WITHIN_S), hearing(site) as recognizer, started(site) as engine:
        assert recognizer.info.live_delay_s is None and not recognizer.info.recordings_only
        assert [voice.id for voice in engine.info.voices] == ["openai:alloy"]
        site.answers |= {PATH: transcript(), lists[0]: answer(b'{"data": [{"id": "only"}]}')}
        site.answers[lists[1]] = answer(b'{"voices": ["eva"]}')
        await happens(lambda: recognizer.info.live_delay_s is not None)
        await happens(lambda: [voice.id for voice in engine.info.voices] == ["openai:eva"])
        assert recognizer.info.version == engine.info.version == "only"
