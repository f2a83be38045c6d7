"""Home Assistant's loops over Wyoming, as in its integration (homeassistant/components/wyoming, Apache-2.0).

Version 2026.11.0 unless a name says otherwise: the same events in the same order, read until the same one.
"""

import asyncio
import io
import wave
from collections.abc import AsyncGenerator, AsyncIterable

from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioFormat, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.info import Describe, Info, TtsProgram
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeStopped,
    SynthesizeVoice,
)

HOST = "127.0.0.1"
RATE, WIDTH, CHANNELS = 16_000, 2, 1


class ServiceError(Exception):
    """An ``error`` event, which Home Assistant shows to its user."""


async def load_info(port: int) -> Info:
    """data.py, load_wyoming_info: every 30 s, on a connection of its own."""
    async with AsyncTcpClient(HOST, port) as client:
        await client.write_event(Describe().event())
        while True:
            event = await client.read_event()
            assert event is not None, "Connection closed unexpectedly"
            if Info.is_type(event.type):
                return Info.from_event(event)


def voices_by_language(program: TtsProgram) -> dict[str, list[str]]:
    """tts.py, _rebuild_voices: the names of the voices of each language, in the order of its list."""
    voices: dict[str, list[tuple[str, str]]] = {}
    for voice in program.voices:
        if voice.installed:
            for language in voice.languages:
                voices.setdefault(language, []).append((voice.description or voice.name, voice.name))
    return {
        language: [name for _, name in sorted(found, key=lambda each: each[0])]
        for language, found in voices.items()
    }


async def get_tts_audio(port: int, message: str, voice_name: str | None = None) -> bytes | None:
    """tts.py, async_get_tts_audio: the whole text; a WAV file, None where the connection is lost."""
    async with AsyncTcpClient(HOST, port) as client:
        voice = SynthesizeVoice(name=voice_name, speaker=None) if voice_name is not None else None
        await client.write_event(Synthesize(text=message, voice=voice).event())
        audio, form = b"", AudioFormat(0, 0, 0)
        while True:
            event = await client.read_event()
            if event is None:
                return None
            if Error.is_type(event.type):
                raise ServiceError(Error.from_event(event).text)
            if AudioStop.is_type(event.type):
                return wav_file(audio, form) if audio else b""
            if AudioChunk.is_type(event.type):
                chunk = AudioChunk.from_event(event)
                # The format of the file is that of the first chunk.
                form = form if audio else chunk
                audio += chunk.audio


def wav_file(audio: bytes, form: AudioFormat) -> bytes:
    with io.BytesIO() as wav_io:
        with wave.open(wav_io, "wb") as wav_writer:
            wav_writer.setframerate(form.rate)
            wav_writer.setsampwidth(form.width)
            wav_writer.setnchannels(form.channels)
            wav_writer.writeframes(audio)
        return wav_io.getvalue()


async def stream_tts_audio(
    port: int, messages: AsyncIterable[str], voice_name: str | None = None
) -> AsyncGenerator[bytes]:
    """tts.py, async_stream_tts_audio: a WAV header without a length, then PCM as it comes."""
    client = AsyncTcpClient(HOST, port)
    await client.connect()
    voice = SynthesizeVoice(name=voice_name, speaker=None) if voice_name is not None else None
    writing = asyncio.create_task(_write_tts_message(messages, client, voice))
    try:
        async for data in _read_tts_audio(client):
            yield data
    finally:
        await client.disconnect()
        writing.cancel()
        await asyncio.wait([writing])


async def _write_tts_message(
    messages: AsyncIterable[str], client: AsyncTcpClient, voice: SynthesizeVoice | None
) -> None:
    await client.write_event(SynthesizeStart(voice=voice).event())
    message = ""
    async for message_chunk in messages:
        message += message_chunk
        await client.write_event(SynthesizeChunk(text=message_chunk).event())
    # Send entire message for backwards compatibility
    await client.write_event(Synthesize(text=message, voice=voice).event())
    await client.write_event(SynthesizeStop().event())


async def _read_tts_audio(client: AsyncTcpClient) -> AsyncGenerator[bytes]:
    wav_header_sent = False
    while event := await client.read_event():
        if Error.is_type(event.type):
            raise ServiceError(Error.from_event(event).text)
        if wav_header_sent and AudioChunk.is_type(event.type):
            yield AudioChunk.from_event(event).audio
        elif (not wav_header_sent) and AudioStart.is_type(event.type):
            yield wav_file(b"", AudioStart.from_event(event))
            wav_header_sent = True
        elif SynthesizeStopped.is_type(event.type):
            break


async def process_audio_stream(
    port: int, stream: AsyncIterable[bytes], language: str | None = None
) -> str | None:
    """stt.py, async_process_audio_stream: audio goes out while the result is waited for."""
    async with AsyncTcpClient(HOST, port) as client:
        await _start_audio(client, language)
        upload = asyncio.create_task(_upload_audio(client, stream))
        receive = asyncio.create_task(_receive_result(client))
        try:
            done, _ = await asyncio.wait((upload, receive), return_when=asyncio.FIRST_COMPLETED)
            if receive in done:
                return receive.result()
            upload.result()
            return await receive
        finally:
            for task in (upload, receive):
                task.cancel()
            await asyncio.gather(upload, receive, return_exceptions=True)


async def _start_audio(client: AsyncTcpClient, language: str | None) -> None:
    await client.write_event(Transcribe(language=language).event())
    await client.write_event(AudioStart(rate=RATE, width=WIDTH, channels=CHANNELS).event())


async def _upload_audio(client: AsyncTcpClient, stream: AsyncIterable[bytes]) -> None:
    async for audio_bytes in stream:
        chunk = AudioChunk(rate=RATE, width=WIDTH, channels=CHANNELS, audio=audio_bytes)
        await client.write_event(chunk.event())
    await client.write_event(AudioStop().event())


async def _receive_result(client: AsyncTcpClient) -> str | None:
    while True:
        event = await client.read_event()
        if event is None or Error.is_type(event.type):
            return None
        if Transcript.is_type(event.type):
            return Transcript.from_event(event).text
