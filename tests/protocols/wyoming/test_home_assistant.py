"""Home Assistant's own loops against the server, those of its older versions included."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import AsyncGenerator, AsyncIterable, Iterable

import pytest

from kani.text.languages import primary
from tests.conftest import ServerProcess, StartServer
from tests.protocols.conftest import Serve
from tests.protocols.wyoming import home_assistant
from tests.protocols.wyoming.exchange import steps
from tests.support.tone import RATE


async def as_stream(pieces: Iterable[str]) -> AsyncGenerator[str]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)


async def as_audio(pieces: Iterable[bytes]) -> AsyncGenerator[bytes]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)


def seconds(file: bytes) -> float:
    with wave.open(io.BytesIO(file)) as opened:
        return opened.getnframes() / opened.getframerate()


async def test_whole_text_is_a_wav_file(port: int) -> None:
    file = await home_assistant.get_tts_audio(port, "hola mundo", "tone_es")
    assert file is not None and seconds(file) == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("message", ["", "   ", "..."])
async def test_text_without_words_is_answered(port: int, message: str) -> None:
    whole = await home_assistant.get_tts_audio(port, message)
    assert whole is not None and not any(whole[44:])
    streamed = [piece async for piece in home_assistant.stream_tts_audio(port, as_stream([message]))]
    assert streamed[0].startswith(b"RIFF") and not any(b"".join(streamed[1:]))


async def test_written_text_is_spoken_once(port: int) -> None:
    """The repeated ``synthesize`` in the stream adds nothing, and there is one header."""
    pieces = ["Uno ", "dos. ", "Tr", "es ", "cuatro."]
    streamed = [piece async for piece in home_assistant.stream_tts_audio(port, as_stream(pieces), "tone_es")]
    assert [piece.startswith(b"RIFF") for piece in streamed] == [True] + [False] * (len(streamed) - 1)
    whole = await home_assistant.get_tts_audio(port, "Uno dos. Tres cuatro.", "tone_es")
    assert whole is not None
    with wave.open(io.BytesIO(whole)) as opened:
        assert b"".join(streamed[1:]) == opened.readframes(opened.getnframes())
        assert opened.getframerate() == RATE


async def test_audio_comes_while_the_text_is_written(port: int) -> None:
    more = asyncio.Event()

    async def messages() -> AsyncIterable[str]:
        yield "Uno dos tres. "
        yield "Cuatro"
        await more.wait()
        yield " cinco."

    stream = home_assistant.stream_tts_audio(port, messages(), "tone_es")
    assert (await anext(stream)).startswith(b"RIFF")
    assert await anext(stream)
    more.set()
    assert [piece async for piece in stream]


async def test_interruption_stops_the_engine(serve: Serve) -> None:
    server = await serve()
    server.engine.allow = 2
    stream = home_assistant.stream_tts_audio(server.streams["Wyoming"], as_stream(["uno dos tres cuatro "]))
    await anext(stream)
    await anext(stream)
    await stream.aclose()
    while server.engine.under_way:
        await asyncio.sleep(0.001)
    assert server.engine.words == ["uno", "dos"]


@pytest.mark.parametrize("listen", ["process_audio_stream", "process_audio_stream_2026_2"])
async def test_speech_is_recognized(port: int, listen: str) -> None:
    audio = as_audio(steps(True, False, True, False))
    assert await getattr(home_assistant, listen)(port, audio, "es") == "bum bum"


@pytest.mark.parametrize("listen", ["process_audio_stream", "process_audio_stream_2026_2"])
async def test_no_audio_is_an_empty_transcript(port: int, listen: str) -> None:
    assert await getattr(home_assistant, listen)(port, as_audio([]), "es") == ""


async def test_server_ends_the_command(serve: Serve) -> None:
    """The transcript comes while audio is still sent, and Home Assistant stops sending."""
    server = await serve(KANI_WYOMING_END_OF_SPEECH="true")
    sent = 0

    async def microphone() -> AsyncIterable[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield steps(sent < 4)[0]
            await asyncio.sleep(0.08)

    text = await home_assistant.process_audio_stream(server.streams["Wyoming"], microphone(), "es")
    assert text == "bum bum bum"


async def test_older_home_assistant_goes_on_sending_behind_the_transcript(serve: Serve) -> None:
    server = await serve(KANI_WYOMING_END_OF_SPEECH="true")

    async def microphone() -> AsyncIterable[bytes]:
        for index in range(28):
            yield steps(index < 3 or index > 24)[0]
            await asyncio.sleep(0.08)

    port = server.streams["Wyoming"]
    assert await home_assistant.process_audio_stream_2026_2(port, microphone(), "es") == "bum bum bum"


@pytest.mark.parametrize("text", ["kaputt", "x" * 10_001])
async def test_error_is_raised_to_the_user(port: int, text: str) -> None:
    with pytest.raises(home_assistant.ServiceError):
        await home_assistant.get_tts_audio(port, text)


async def test_unsupported_language_is_an_error(port: int) -> None:
    assert await home_assistant.process_audio_stream(port, as_audio(steps(True)), "xx") is None
    assert await home_assistant.process_audio_stream_2026_2(port, as_audio(steps(True)), "xx") is None


@pytest.mark.parametrize(
    ("voice", "language"),
    [("es_ES-davefx-medium", "es"), ("en_US-lessac-medium", "en"), ("ru_RU-irina-medium", "en")],
    ids=["es", "en", "language_without_an_engine"],
)
async def test_voice_that_is_gone_is_replaced_in_its_language(
    serve: Serve, voice: str, language: str
) -> None:
    """The text tells no language; the name of a voice of Piper does."""
    server = await serve()
    file = await home_assistant.get_tts_audio(server.streams["Wyoming"], "OK.", voice)
    assert file is not None and seconds(file) > 0.1
    assert primary(server.engine.segments[-1].language) == language


async def test_espeak_speaks_every_language_that_is_listed(espeak_server_with_wyoming: ServerProcess) -> None:
    port = espeak_server_with_wyoming.wyoming_port
    info = await home_assistant.load_info(port)
    voices = home_assistant.voices_by_language(info.tts[0])
    assert {"es", "en", "de", "ar"} <= set(voices)
    for language in ("es", "en-GB", "de"):
        first = voices[language][0]
        streamed = home_assistant.stream_tts_audio(port, as_stream(["Uno, ", "dos, ", "tres."]), first)
        assert sum([len(piece) async for piece in streamed]) > 30_000


@pytest.fixture
def espeak_server_with_wyoming(start_server: StartServer) -> ServerProcess:
    return start_server("--engine", "espeak", "--wyoming")
