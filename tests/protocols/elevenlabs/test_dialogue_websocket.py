"""WebSockets of ElevenLabs' text to dialogue."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import av
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from kani.core.audio.ogg_pages import FIRST, LAST
from kani.core.types import Samples
from kani.protocols.elevenlabs.http.dialogue import SPEAKER_PAUSE_S
from kani.protocols.elevenlabs.voice_ids import MAX_ID_LENGTH
from tests.support.app_server import KEY, AppServer

RATE = 24_000
ES, EN = "espeak:es", "espeak:en-us"


@dataclass
class Received:
    """The messages of one context."""

    audio: bytearray = field(default_factory=bytearray)
    text: str = ""
    starts_s: list[float] = field(default_factory=list)  # of the characters, by the audio before the message
    summed_s: list[float] = field(default_factory=list)  # by the characters before the message
    turns: list[int] = field(default_factory=list)  # bytes of audio at the end of each turn
    sum_ms: int = 0

    def add(self, message: dict[str, Any]) -> bool:
        """Add a message; true for the last."""
        if message.get("is_final"):
            self.turns.append(len(self.audio))
            return True
        if message.get("is_final_audio_for_turn"):
            self.turns.append(len(self.audio))
            self.sum_ms = round(len(self.audio) / 2 / RATE * 1000)
            return False
        if alignment := message.get("alignment"):
            before_s = len(self.audio) / 2 / RATE
            starts, durations = alignment["char_start_times_ms"], alignment["char_durations_ms"]
            assert len(alignment["chars"]) == len(starts) == len(durations)
            self.text += "".join(alignment["chars"])
            self.starts_s += [before_s + start / 1000 for start in starts]
            self.summed_s += [(self.sum_ms + start) / 1000 for start in starts]
            self.sum_ms += starts[-1] + durations[-1]
        self.audio += base64.b64decode(message["audio"], validate=True)
        return False

    @property
    def samples(self) -> Samples:
        return np.frombuffer(bytes(self.audio), "<i2").astype(np.float32) / 32768


@asynccontextmanager
async def dialogue(
    server: AppServer, path: str = "stream-input", **query: str
) -> AsyncIterator[ClientConnection]:
    query = {"model_id": "eleven_v3", "output_format": f"pcm_{RATE}", "sync_alignment": "true"} | query
    async with connect(f"{server.url}/v1/text-to-dialogue/{path}?{urlencode(query)}") as socket:
        yield socket


async def send(socket: ClientConnection, *messages: dict[str, Any]) -> None:
    for message in messages:
        await socket.send(json.dumps(message))


def said(text: str, voice_id: str = ES, **more: Any) -> dict[str, Any]:
    return {"inputs": [{"text": text, "voice_id": voice_id} | more]}


async def receive(socket: ClientConnection) -> Received:
    received = Received()
    while not received.add(json.loads(await socket.recv())):
        pass
    return received


async def spoken(server: AppServer, *messages: dict[str, Any], **query: str) -> Received:
    async with dialogue(server, **query) as socket:
        await send(socket, {"voices": [ES, EN]}, *messages, {"close_socket": True})
        received = await receive(socket)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1000
    return received


async def test_voices_take_turns_with_a_pause_and_times(espeak_app: AppServer) -> None:
    first, second = "Hola, ¿qué tal estás? ", "Very well, thank you. "
    received = await spoken(espeak_app, said(first), said(second, EN))
    assert received.text == first + second
    assert received.starts_s == pytest.approx(received.summed_s, abs=0.002)
    assert received.starts_s == sorted(received.starts_s)
    alone = [await spoken(espeak_app, said(first)), await spoken(espeak_app, said(second, EN))]
    assert len(received.turns) == 2 and received.turns[0] == len(alone[0].audio)
    pause = round(SPEAKER_PAUSE_S * RATE)
    turn = received.samples[received.turns[0] // 2 :]
    # The resampler's phase differs by the pause.
    assert not turn[: pause - 10].any() and len(turn) == pause + len(alone[1].samples)
    assert np.abs(turn[pause:] - alone[1].samples).max() < 0.01


@pytest.mark.parametrize("name", ["opus_48000_64", "mp3_44100_128"])
async def test_turns_are_one_stream_of_audio(espeak_app: AppServer, name: str) -> None:
    turns = [said("Hola, ¿qué tal estás? "), said("Very well, thank you. ", EN), said("Adiós, amigo mío. ")]
    plain = await spoken(espeak_app, *turns)
    coded = await spoken(espeak_app, *turns, output_format=name)
    assert (coded.text, len(coded.turns)) == (plain.text, 3)
    data = bytes(coded.audio)
    if name.startswith("opus"):
        flags = [data[at + 5] for at in range(len(data)) if data.startswith(b"OggS", at)]
        assert [at for at, flag in enumerate(flags) if flag & FIRST] == [0]
        assert [at for at, flag in enumerate(flags) if flag & LAST] == [len(flags) - 1]
    else:
        assert data.count(b"Info") == 1
    # FFmpeg stops where a stream ends.
    with av.open(io.BytesIO(data)) as container:
        frames = [frame for frame in container.decode(audio=0) if isinstance(frame, av.AudioFrame)]
    decoded, rate = np.concatenate([frame.to_ndarray()[0] for frame in frames]), frames[0].sample_rate
    assert len(decoded) / rate == pytest.approx(len(plain.samples) / RATE, abs=0.06)
    for end in plain.turns[:-1]:
        pause = decoded[round((end / 2 / RATE + 0.07) * rate) :][: round((SPEAKER_PAUSE_S - 0.1) * rate)]
        assert np.abs(pause).max() < 0.02, "the pauses are where they are in PCM"


async def test_text_of_one_voice_is_one_turn_unless_asked_for(espeak_app: AppServer) -> None:
    joined = await spoken(espeak_app, said("Hola, "), said("amigo mío. "), {"flush": True}, said("Adiós. "))
    assert (joined.text, len(joined.turns)) == ("Hola, amigo mío. Adiós. ", 1)
    parted = await spoken(espeak_app, said("Hola, "), said("amigo mío. ", new_turn=True))
    assert (parted.text, len(parted.turns)) == ("Hola, amigo mío. ", 2)


async def test_tags_are_not_spoken_even_in_pieces(espeak_app: AppServer) -> None:
    plain = await spoken(espeak_app, said("Hola amigo. "))
    tagged = await spoken(espeak_app, said("Hola [whis"), said("pers softly] amigo. "))
    assert len(tagged.audio) == len(plain.audio)
    assert tagged.text == "Hola [whispers softly] amigo. "
    held = await spoken(espeak_app, said("Hola [amigo"))
    assert held.text == "Hola [amigo "


async def test_untimed_dialogue_has_no_alignment(espeak_app: AppServer) -> None:
    async with dialogue(espeak_app, sync_alignment="false") as socket:
        await send(socket, {"voices": [ES]}, said("Hola."), {"close_socket": True})
        first = json.loads(await socket.recv())
    assert first.keys() == {"audio"}


async def test_contexts_end_one_by_one(espeak_app: AppServer) -> None:
    async with dialogue(espeak_app, "multi-stream-input") as socket:
        for name in ("a", "b"):
            await send(
                socket,
                {"context_id": name, "voices": [ES], "voice_settings": {"stability": 0.5}},
                {"context_id": name, **said(f"Hola {name}. ", new_turn=True)},
                {"context_id": name, "keep_alive": True},
                {"context_id": name, "flush": True},
            )
        await send(socket, *({"context_id": name, "close_context": True} for name in ("a", "b")))
        contexts = {"a": Received(), "b": Received()}
        open_contexts = {"a", "b"}
        while open_contexts:
            message = json.loads(await socket.recv())
            if contexts[message["context_id"]].add(message):
                open_contexts.remove(message["context_id"])
        assert {name: received.text for name, received in contexts.items()} == {
            "a": "Hola a. ",
            "b": "Hola b. ",
        }
        await send(socket, {"context_id": "a", "voices": [EN]}, {"context_id": "a", **said("Again.", EN)})
        await send(socket, {"context_id": "a", "close_context": True})
        assert (await receive(socket)).text == "Again. "


@pytest.mark.parametrize(
    ("messages", "error", "words"),
    [
        ([said("Hola.")], "invalid_request", "voices: is required"),
        ([{"voices": ["nobody"]}], "voice_id_does_not_exist", "nobody"),
        ([{"voices": ["x" * (MAX_ID_LENGTH + 1)]}], "voice_id_does_not_exist", "…"),
        ([{"voices": [ES]}, said("Hello.", EN)], "invalid_request", "inputs[0].voice_id"),
        ([{"voices": [str(number) for number in range(11)]}], "invalid_request", "at most 10"),
        (
            [{"voices": [ES], "inputs": [{"text": 5, "voice_id": ES}]}],
            "invalid_input_message",
            "inputs[0].text",
        ),
        ([{"voices": ES}], "invalid_input_message", "voices: must be a list"),
        ([{"voices": [ES], "voice_settings": {"stability": 2}}], "invalid_voice_settings", "stability"),
        ([{"voices": [ES], "inputs": ["Hola."]}], "invalid_input_message", "inputs[0]"),
    ],
)
async def test_invalid_message_ends_the_connection(
    espeak_app: AppServer, messages: list[dict[str, Any]], error: str, words: str
) -> None:
    async with dialogue(espeak_app) as socket:
        await send(socket, *messages)
        told = json.loads(await socket.recv())
        assert (told["code"], told["error"]) == (1008, error) and words in told["message"]
        with pytest.raises(ConnectionClosed):
            await socket.recv()


async def test_key_may_come_in_first_message(keyed_app: AppServer) -> None:
    for key, served in ((KEY, True), ("wrong", False)):
        async with dialogue(keyed_app) as socket:
            await send(socket, {"voices": [ES], "xi_api_key": key}, said("Hola."), {"close_socket": True})
            message = json.loads(await socket.recv())
            assert ("audio" in message) is served
            assert served or message["error"] == "invalid_api_key"
