"""Every door that speech goes in by: a function each, which returns the text that was understood.

``RECORDINGS`` are for whole files, ``LIVE`` for speech as it is spoken; ``DIARIZING`` name the speakers.
Audio is mono at ``RATE`` hertz, and has silence after the speech.
"""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from websockets.asyncio.client import connect
from wyoming.event import Event

from kani import AsyncConversation, AsyncRecognizer, EngineUnavailable, Heard, NoAnswer
from kani.cli import speech_commands
from kani.core.audio.pcm import pcm16, wav
from kani.core.diarization.diarizer import Diarizer
from kani.core.recognizer import Recognizer
from kani.core.types import Samples
from tests.clients import unmute_page
from tests.clients.kyutai.speaking import hear_until, let_hear, listening, words_of
from tests.clients.kyutai.wire import FRAME, KEY, unpack
from tests.clients.openai_realtime import BETA, RATE, TRANSCRIPTION, Client, realtime
from tests.protocols.wyoming.exchange import STOP, chunk, client
from tests.support.chat.endpoint import say
from tests.support.chat.talking import answering
from tests.support.servers.serving import InProcessServer

SERVED = {"KANI_WYOMING": "true", "KANI_COMPAT": "1"}
VAD = {"type": "server_vad"}
PIECE = RATE // 10
MARKER = 9


class Refused(Exception):
    """The protocol's own words for why nothing was understood."""


@dataclass(frozen=True)
class House:
    """A server with its recogniser, and what the library needs to have one of the same kind."""

    server: InProcessServer
    llm_url: str
    recognizer: str  # name as the setting has it
    folder: Path


@asynccontextmanager
async def opened(
    folder: Path, recognizer: Recognizer, name: str = "auto", diarizer: Diarizer | None = None
) -> AsyncIterator[House]:
    """Open every door; name: of the recogniser, for the library."""
    answered = answering(folder, say("Yes."), recognizer=recognizer, diarizer=diarizer, **SERVED)
    async with answered as (server, endpoint):
        yield House(server, endpoint.url, name, folder)


Door = Callable[[House, Samples, Sequence[str]], Awaitable[str]]
"""Returns the text that was understood; the words are those to expect. Raises Refused."""


async def _posted(house: House, path: str, samples: Samples, **fields: Any) -> Any:
    answer = await house.server.post(path, files={"file": ("a.wav", wav(samples, RATE))}, data=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def openai_transcription(house: House, samples: Samples, words: Sequence[str]) -> str:
    fields = {"model": "whisper-1", "keywords[]": [*words]}
    return str((await _posted(house, "/v1/audio/transcriptions", samples, **fields))["text"])


async def openai_translation(house: House, samples: Samples, words: Sequence[str]) -> str:
    fields = {"model": "whisper-1", "prompt": ", ".join(words)}
    return str((await _posted(house, "/v1/audio/translations", samples, **fields))["text"])


async def elevenlabs(house: House, samples: Samples, words: Sequence[str]) -> str:
    fields = {"model_id": "scribe_v1", "keyterms": [*words]}
    return str((await _posted(house, "/v1/speech-to-text", samples, **fields))["text"])


async def kyutai_recording(house: House, samples: Samples, words: Sequence[str]) -> str:
    query = {"prompt": ", ".join(words)}
    how = {"params": query, "content": wav(samples, RATE), "headers": KEY}
    answer = await house.server.post("/api/asr-streaming", **how)
    assert answer.status_code == 200, answer.text
    return words_of(answer.json())


async def library_recording(house: House, samples: Samples, words: Sequence[str]) -> str:
    async with AsyncRecognizer(house.recognizer) as recognizer:
        return (await recognizer.transcribe((samples, RATE), prompt=", ".join(words))).text


async def command_line(house: House, samples: Samples, words: Sequence[str]) -> str:
    return await _listen(house, samples, "--prompt", ", ".join(words))


async def _listen(house: House, samples: Samples, *options: str) -> str:
    file = house.folder / "recording.wav"
    file.write_bytes(wav(samples, RATE))
    printed, complained = io.StringIO(), io.StringIO()
    arguments = [str(file), "--recognizer", house.recognizer, *options]
    with redirect_stdout(printed), redirect_stderr(complained):
        code = await asyncio.to_thread(speech_commands.main, "listen", arguments)
    assert code == 0, complained.getvalue()
    if complained.getvalue():
        raise Refused(complained.getvalue())
    return printed.getvalue().strip()


async def _completed(talking: Client, samples: Samples) -> str:
    """Say something to the Realtime socket; return the transcript of its turn."""
    await talking.append(samples)
    while (event := await talking.receive())["type"] != f"{TRANSCRIPTION}.completed":
        if event["type"] == "error":
            raise Refused(event["error"]["message"])
    if "details" in event:
        assert event["details"]["code"] == "no_words"
        raise Refused(event["details"]["message"])
    return str(event["transcript"])


async def realtime_transcription(house: House, samples: Samples, words: Sequence[str]) -> str:
    async with realtime(house.server.url) as talking:
        await talking.detect(VAD, keywords=[*words])
        return await _completed(talking, samples)


async def realtime_beta(house: House, samples: Samples, words: Sequence[str]) -> str:
    transcription = {"model": "whisper-1", "prompt": ", ".join(words)}
    session = {"input_audio_transcription": transcription, "turn_detection": VAD}
    async with realtime(house.server.url, additional_headers=BETA) as talking:
        await talking.send("transcription_session.update", session=session)
        await talking.until("transcription_session.updated")
        return await _completed(talking, samples)


async def realtime_conversation(house: House, samples: Samples, words: Sequence[str]) -> str:
    transcription = {"model": "whisper-1", "keywords": [*words]}
    given = {"transcription": transcription, "turn_detection": VAD}
    async with realtime(house.server.url, "model=gpt-realtime") as talking:
        await talking.configure("realtime", audio={"input": given})
        return await _completed(talking, samples)


async def kyutai_socket(house: House, samples: Samples, words: Sequence[str]) -> str:
    async with listening(house.server, prompt=", ".join(words)) as websocket:  # type: ignore[arg-type]
        ready = unpack(await websocket.recv())
        if ready["type"] == "Error":
            raise Refused(ready["message"])
        await let_hear(websocket, samples, MARKER)
        await let_hear(websocket, np.zeros(25 * FRAME, np.float32), None)
        messages = await hear_until(websocket, "Marker")
    assert ready == {"type": "Ready"} and messages[-1]["id"] == MARKER
    return words_of(messages)


async def wyoming(house: House, samples: Samples, words: Sequence[str]) -> str:
    pieces = [chunk(pcm16(samples[at : at + PIECE]), RATE) for at in range(0, len(samples), PIECE)]
    async with client(house.server.streams["Wyoming"]) as connected:
        for event in (Event("transcribe", {"transcript_terms": [*words]}), *pieces, STOP):
            await connected.write_event(event)
        while (answer := await connected.read_event()) is not None:
            if answer.type == "error":
                raise Refused(answer.data["text"])
            if answer.type == "transcript":
                return str(answer.data["text"])
    raise AssertionError("the connection ended without a transcript")


async def elevenlabs_realtime(house: House, samples: Samples, words: Sequence[str]) -> str:
    query = {"audio_format": "pcm_24000", "commit_strategy": "vad", "keyterms": [*words]}
    url = httpx2.URL(f"{house.server.url}/v1/speech-to-text/realtime", params=query)
    async with connect(str(url), max_queue=None) as websocket:
        for at in range(0, len(samples), PIECE):
            await websocket.send(_elevenlabs_chunk(samples[at : at + PIECE]))
        await websocket.send(_elevenlabs_chunk(samples[:0], commit=True))
        while (message := json.loads(await websocket.recv()))["message_type"] != "committed_transcript":
            if "error" in message:
                raise Refused(message["error"])
    return str(message["text"])


def _elevenlabs_chunk(samples: Samples, **fields: Any) -> str:
    audio = base64.b64encode(pcm16(samples)).decode()
    return json.dumps({"message_type": "input_audio_chunk", "audio_base_64": audio, **fields})


async def unmute(house: House, samples: Samples, words: Sequence[str]) -> str:
    """The dialect has no field for words to expect."""
    async with unmute_page.calling(house.server.compat["Kani REST"]) as caller:
        await caller.configure()
        await caller.until(unmute_page.AudioDone)
        await caller.speak(samples)
        while True:
            match await caller.receive():
                case unmute_page.Failed(error=error):
                    raise Refused(error["message"])
                case unmute_page.Created(response=response):
                    return response.chat_history[-1]["content"]


async def _pieces(samples: Samples) -> AsyncIterator[Samples]:
    for at in range(0, len(samples), PIECE):
        yield samples[at : at + PIECE]


async def library_listening(house: House, samples: Samples, words: Sequence[str]) -> str:
    async with AsyncRecognizer(house.recognizer) as recognizer:
        try:
            heard = recognizer.listen(_pieces(samples), RATE, prompt=", ".join(words))
            return " ".join([word.text async for word in heard])
        except EngineUnavailable as error:
            raise Refused(str(error)) from error


async def library_conversation(house: House, samples: Samples, words: Sequence[str]) -> str:
    prompt = ", ".join(words)
    conversation = AsyncConversation(house.llm_url, "espeak", house.recognizer, prompt=prompt)
    heard = ""
    async with conversation:
        try:
            async with aclosing(conversation.talk(_pieces(samples), RATE)) as events:
                async for event in events:
                    match event:
                        case Heard():
                            heard += event.text
                        case NoAnswer():
                            raise Refused(event.reason)
        except EngineUnavailable as error:
            raise Refused(str(error)) from error
    return heard


RECORDINGS: tuple[Door, ...] = (
    *(openai_transcription, openai_translation, elevenlabs, kyutai_recording),
    *(library_recording, command_line),
)
LIVE: tuple[Door, ...] = (
    *(realtime_transcription, realtime_beta, realtime_conversation, kyutai_socket, wyoming, unmute),
    elevenlabs_realtime,
    *(library_listening, library_conversation),
)


Speakers = Callable[[House, Samples], Awaitable[list[tuple[str, str]]]]
"""Returns who says what, one after the other."""


async def openai_speakers(house: House, samples: Samples) -> list[tuple[str, str]]:
    fields = {"model": "whisper-1", "response_format": "diarized_json"}
    answer = await _posted(house, "/v1/audio/transcriptions", samples, **fields)
    return [(segment["speaker"], segment["text"].strip()) for segment in answer["segments"]]


async def elevenlabs_speakers(house: House, samples: Samples) -> list[tuple[str, str]]:
    answer = await _posted(house, "/v1/speech-to-text", samples, model_id="scribe_v1", diarize="true")
    found: list[tuple[str, str]] = []
    for word in answer["words"]:
        speaker = chr(ord("A") + int(word["speaker_id"].removeprefix("speaker_")))
        if not found or found[-1][0] != speaker:
            found.append((speaker, ""))
        found[-1] = speaker, (found[-1][1] + word["text"]).lstrip()
    return found


async def library_speakers(house: House, samples: Samples) -> list[tuple[str, str]]:
    async with AsyncRecognizer(house.recognizer) as recognizer:
        transcript = await recognizer.transcribe((samples, RATE), speakers=True)
    return [(turn.speaker, turn.text) for turn in transcript.turns]


async def command_line_speakers(house: House, samples: Samples) -> list[tuple[str, str]]:
    lines = (await _listen(house, samples, "--speakers")).splitlines()
    return [(speaker, text) for speaker, _, text in (line.partition(": ") for line in lines)]


DIARIZING: tuple[Speakers, ...] = (
    *(openai_speakers, elevenlabs_speakers, library_speakers, command_line_speakers),
)
