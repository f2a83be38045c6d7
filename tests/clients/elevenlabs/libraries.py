"""Three libraries for ElevenLabs' protocol, unmodified but for their address."""

import asyncio
import warnings
from collections.abc import Iterable
from typing import Any

import aiohttp
from elevenlabs.client import ElevenLabs
from elevenlabs.types import VoiceSettings
from livekit.plugins import elevenlabs as livekit_elevenlabs

from tests.clients.elevenlabs.wire import split_tokens
from tests.clients.pipelines import ReceivedSpeech, Word, speak

with warnings.catch_warnings():
    # It imports audioop, which a later Python has no more.
    warnings.simplefilter("ignore", DeprecationWarning)
    from pipecat.frames.frames import LLMFullResponseEndFrame, LLMFullResponseStartFrame, LLMTextFrame
    from pipecat.services.elevenlabs.tts import ElevenLabsTTSService
    from pipecat.services.tts_service import TextAggregationMode

MODEL = "eleven_flash_v2_5"


async def speak_with_sdk(
    http_url: str, voice: str, text: Iterable[str], output_format: Any, speed: float | None = None
) -> ReceivedSpeech:
    def speak() -> bytes:
        calls = ElevenLabs(api_key="key", base_url=http_url).text_to_speech
        calls._ws_base_url = http_url.replace("http", "ws", 1)
        asked: Any = {} if speed is None else {"voice_settings": VoiceSettings(speed=speed)}
        written = (piece for piece in text)
        asked |= {"model_id": MODEL, "output_format": output_format}
        return b"".join(calls.convert_realtime(voice, text=written, **asked))

    return ReceivedSpeech(bytearray(await asyncio.to_thread(speak)))


async def speak_with_livekit(
    http_url: str, voice: str, texts: Iterable[str], **options: Any
) -> list[ReceivedSpeech]:
    options = {"encoding": "pcm_22050", "model": MODEL, "base_url": f"{http_url}/v1", **options}
    async with aiohttp.ClientSession() as session:
        speaker = livekit_elevenlabs.TTS(api_key="key", voice_id=voice, http_session=session, **options)
        heard = []
        for text in texts:
            heard.append(spoken := ReceivedSpeech())
            async with speaker.stream() as stream:
                for piece in split_tokens(text):
                    stream.push_text(piece)
                stream.end_input()
                async for event in stream:
                    spoken.audio += bytes(event.frame.data)
                    timed = event.frame.userdata.get("lk.timed_transcripts", [])
                    spoken.words += [Word(str(word).strip(), word.start_time) for word in timed]
        await speaker.aclose()
        return heard


class _PipecatVoice(ElevenLabsTTSService):
    """pipecat's service; records the times that it computes."""

    def __init__(self, spoken: list[ReceivedSpeech], **options: Any) -> None:
        super().__init__(**options)
        self._spoken = spoken

    async def add_word_timestamps(self, word_times: Any, *args: Any, **options: Any) -> None:
        self._spoken[-1].words += [Word(*each) for each in word_times]
        await super().add_word_timestamps(word_times, *args, **options)


async def speak_with_pipecat(
    url: str, voice: str, texts: Iterable[str], rate: int = 24_000, *, tokens: bool = False
) -> list[ReceivedSpeech]:
    """Speak with pipecat's service in a pipeline: a language model's turn for each text, over one connection.

    tokens: whether it sends them as they come, instead of in sentences.
    """
    spoken: list[ReceivedSpeech] = []
    mode = TextAggregationMode.TOKEN if tokens else TextAggregationMode.SENTENCE
    settings = ElevenLabsTTSService.Settings(voice=voice, model=MODEL)
    service = _PipecatVoice(
        spoken, api_key="key", url=url, sample_rate=rate, settings=settings, text_aggregation_mode=mode
    )
    begin, end = LLMFullResponseStartFrame, LLMFullResponseEndFrame
    turns = ([begin(), *map(LLMTextFrame, split_tokens(text)), end()] for text in texts)
    await speak(service, rate, turns, spoken)
    return spoken
