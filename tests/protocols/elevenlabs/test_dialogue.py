"""ElevenLabs' text to dialogue by HTTP, over the tone engine, and its WebSockets, by espeak-ng."""

import base64
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import av
import httpx2
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from kani.core.audio.ogg_pages import FIRST, LAST
from kani.core.audio.prosody_filter import PAUSES_S
from kani.core.types import Boundary
from kani.protocols.elevenlabs.http.speech import DIALOGUE_PATH as PATH
from kani.protocols.elevenlabs.http.speech import SPEAKER_PAUSE_S
from kani.protocols.elevenlabs.models import MAX_TAG_LENGTH, IncrementalTags, named_tags, without_tags
from tests.clients.elevenlabs.wire import Character, ReceivedSpeech
from tests.protocols.elevenlabs.conftest import tone_app
from tests.support.servers.app_server import AppServer
from tests.support.servers.serving import InProcessServer
from tests.support.tone import RATE

CALLS = ["", "/stream", "/with-timestamps", "/stream/with-timestamps"]
MAX_TEXT = 200
LINES = [("Hola amiga.", "tone_es"), ("[laughs] Hello you.", "tone_en"), ("Yes [sighs] sir.", "tone_en")]


@pytest.fixture
async def calls(tmp_path: Path) -> AsyncIterator[InProcessServer]:
    limits = {"KANI_ELEVENLABS_MAX_TEXT": str(MAX_TEXT), "KANI_MAX_WAITING": "0"}
    async with tone_app(tmp_path, KANI_RATE_PER_MINUTE="5", **limits) as app:
        yield app


async def post(
    calls: InProcessServer, call: str = "", lines: list[tuple[str, str]] = LINES, **body: Any
) -> httpx2.Response:
    params = {"output_format": f"pcm_{8 * RATE}"}
    inputs = [{"text": text, "voice_id": voice} for text, voice in lines]
    return await calls.post(PATH + call, json={"inputs": inputs} | body, params=params)


def assert_timed(told: dict[str, Any], lines: list[tuple[str, str]]) -> None:
    """Assert that a whole answer's segments are the lines, at their times in the audio."""
    alignment, segments = told["alignment"], told["voice_segments"]
    characters = "".join(alignment["characters"])
    starts = alignment["character_start_times_seconds"]
    ends = alignment["character_end_times_seconds"]
    assert characters == "".join(text for text, _ in lines)
    assert len(characters) == len(starts) == len(ends) and starts == sorted(starts)
    assert [segment["dialogue_input_index"] for segment in segments] == list(range(len(lines)))
    samples = np.frombuffer(base64.b64decode(told["audio_base64"]), "<i2")
    before, before_s = "", 0.0
    for segment, (text, voice) in zip(segments, lines, strict=True):
        first, after = segment["character_start_index"], segment["character_end_index"]
        assert (characters[first:after], segment["voice_id"]) == (text, voice)
        assert segment["start_time_seconds"] == starts[first]
        assert segment["end_time_seconds"] == ends[after - 1]
        pause_s = PAUSES_S[Boundary.SENTENCE] if voice == before else SPEAKER_PAUSE_S if before else 0.0
        assert segment["start_time_seconds"] == pytest.approx(before_s + pause_s, abs=0.002)
        if before:
            # The resampler rings into the pause at both ends.
            silence = samples[round((before_s + 0.05) * 8 * RATE) : round((starts[first] - 0.05) * 8 * RATE)]
            assert len(silence) and np.abs(silence).max() < 400
        before, before_s = voice, segment["end_time_seconds"]
    assert len(samples) / (8 * RATE) == pytest.approx(ends[-1], abs=0.002)


async def test_lines_are_spoken_in_order_with_pauses_and_times(calls: InProcessServer) -> None:
    told = (await post(calls, "/with-timestamps")).json()
    assert told.keys() == {"audio_base64", "alignment", "normalized_alignment", "voice_segments"}
    assert_timed(told, LINES)
    assert calls.engine.words == ["Hola", "amiga", "Hello", "you", "Yes", "sir"]
    assert [segment.voice for segment in calls.engine.segments] == ["tone_es", "tone_en", "tone_en"]
    spoken = "".join(told["normalized_alignment"]["characters"])
    assert "laughs" not in spoken and "Hello you." in spoken


async def test_four_calls_have_the_same_audio(calls: InProcessServer) -> None:
    whole, stream, timed, lines = [await post(calls, call) for call in CALLS]
    parts = [json.loads(line) for line in lines.content.splitlines()]
    audio = b"".join(base64.b64decode(part["audio_base64"]) for part in parts)
    assert whole.content == stream.content == base64.b64decode(timed.json()["audio_base64"]) == audio
    told = timed.json()["alignment"]
    for name, values in told.items():
        assert [value for part in parts if part["alignment"] for value in part["alignment"][name]] == values
    for part in parts:
        characters = part["alignment"]["characters"] if part["alignment"] else []
        ranges = [
            (each["character_start_index"], each["character_end_index"]) for each in part["voice_segments"]
        ]
        assert [index for ends in ranges for index in range(*ends)] == list(range(len(characters)))


async def test_headers_have_cost_unused_fields_and_tags(calls: InProcessServer) -> None:
    asked = {
        "model_id": "eleven_v3",
        "settings": {"stability": 0.2, "similarity": 0.4},
        "seed": 7,
        "future_text": "Luego.",
        "pronunciation_dictionary_locators": [],
    }
    for call in CALLS:
        answer = await post(calls, call, **asked)
        assert answer.headers["character-cost"] == str(sum(len(text) for text, _ in LINES))
        unused = "[laughs], [sighs], future_text, settings.similarity, settings.stability"
        assert answer.headers["x-unused"] == unused
    assert {segment.sampling.seed for segment in calls.engine.segments} == {7}


async def test_tags_are_silence_and_of_later_models_only(calls: InProcessServer) -> None:
    lines = [("[laughs]", "tone_en"), ("Hello.", "tone_en")]
    assert_timed((await post(calls, "/with-timestamps", lines)).json(), lines)
    assert calls.engine.words == ["Hello"]
    for model, words in (("eleven_v3", ["Hello"]), ("eleven_flash_v2_5", ["whispers", "Hello"])):
        calls.engine.words.clear()
        body = {"text": "[whispers] Hello.", "model_id": model}
        answer = await calls.post("/v1/text-to-speech/tone_en", json=body)
        assert calls.engine.words == words
        assert answer.headers.get("x-unused") == ("[whispers]" if model == "eleven_v3" else None)


async def test_unknown_voice_is_named_with_its_input(calls: InProcessServer) -> None:
    for call in CALLS:
        answer = await post(calls, call, [*LINES[:2], ("Who?", "nobody")])
        detail = answer.json()["detail"]
        assert (answer.status_code, detail["code"]) == (404, "voice_not_found")
        assert detail["param"] == "inputs[2].voice_id" and "'nobody'" in detail["message"]
    assert calls.engine.words == []


async def test_rate_limit_counts_a_dialogue_once(calls: InProcessServer) -> None:
    statuses = [(await post(calls)).status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]


def test_tags_become_spaces_and_have_names() -> None:
    text = "[whispers]Hi [very, very softly] you [1] [link](http://x) [a\nb] []. [excité 😀]"
    spoken = without_tags(text)
    assert len(spoken) == len(text)
    assert spoken.split() == ["Hi", "you", "[1]", "[link](http://x)", "[a", "b]", "[]."]
    found = ["[whispers]", "[very, very softly]", "[excit\\xe9 \\U0001f600]"]
    assert named_tags([text, "[WHISPERS]"]) == found
    assert without_tags(f"[{'a' * (MAX_TAG_LENGTH + 1)}]").startswith("[")


@pytest.mark.parametrize("text", ["Hi [laughs] you", "a [b [c] d", "[laughs]", "end [", "x [1] y", "[l](u)"])
def test_tags_of_text_in_pieces_are_the_whole_text_s(text: str) -> None:
    tags = IncrementalTags()
    pieces = [*map(tags.feed, text), tags.finish()]
    assert "".join(pieces) == text
    assert "".join(map(without_tags, pieces)) == without_tags(text)


def test_tag_waits_for_its_end_only_as_long_as_it_may_be() -> None:
    tags = IncrementalTags()
    assert tags.feed("Hi [laugh") == "Hi "
    assert tags.feed("s") == ""
    assert tags.feed("] you") == "[laughs] you"
    assert tags.feed("[" + "a" * (MAX_TAG_LENGTH + 1)) == "[" + "a" * (MAX_TAG_LENGTH + 1)


WIRE_RATE = 24_000
ALIGNMENT = ("chars", "char_start_times_ms", "char_durations_ms")
ES, EN = "espeak:es", "espeak:en-us"


@dataclass
class Received:
    """The turns of one context."""

    turns: list[ReceivedSpeech] = field(default_factory=lambda: [ReceivedSpeech()])

    def add(self, message: dict[str, Any]) -> bool:
        """Add a message; true for the last."""
        if message.get("is_final_audio_for_turn"):
            self.turns.append(ReceivedSpeech())
        elif not message.get("is_final"):
            told = message.get("alignment") or dict.fromkeys(ALIGNMENT, ())
            characters = [Character(*each) for each in zip(*(told[key] for key in ALIGNMENT), strict=True)]
            self.turns[-1].parts.append((base64.b64decode(message["audio"], validate=True), characters))
        return bool(message.get("is_final"))

    @property
    def text(self) -> str:
        return "".join(turn.text for turn in self.turns)

    @property
    def audio(self) -> bytes:
        return b"".join(turn.audio for turn in self.turns)


@asynccontextmanager
async def dialogue(
    server: AppServer, path: str = "stream-input", **query: str
) -> AsyncIterator[ClientConnection]:
    query = {"model_id": "eleven_v3", "output_format": f"pcm_{WIRE_RATE}", "sync_alignment": "true"} | query
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
    assert [turn.text for turn in received.turns] == [first, second]
    for turn in received.turns:
        by_audio, summed = (
            [each.start for each in way] for way in (turn.audio_relative(WIRE_RATE), turn.summed())
        )
        assert by_audio == pytest.approx(summed, abs=2) and by_audio == sorted(by_audio)
    alone = [await spoken(espeak_app, said(first)), await spoken(espeak_app, said(second, EN))]
    assert len(received.turns[0].audio) == len(alone[0].audio)
    pause = round(SPEAKER_PAUSE_S * WIRE_RATE)
    samples, expected = received.turns[1].samples, alone[1].turns[0].samples
    # The resampler's phase differs by the pause.
    assert not samples[: pause - 10].any() and len(samples) == pause + len(expected)
    assert np.abs(samples[pause:] - expected).max() < 0.01


@pytest.mark.parametrize("name", ["opus_48000_64", "mp3_44100_128"])
async def test_turns_are_one_stream_of_audio(espeak_app: AppServer, name: str) -> None:
    turns = [said("Hola, ¿qué tal estás? "), said("Very well, thank you. ", EN), said("Adiós, amigo mío. ")]
    plain = await spoken(espeak_app, *turns)
    coded = await spoken(espeak_app, *turns, output_format=name)
    assert (coded.text, len(coded.turns)) == (plain.text, 3)
    data = coded.audio
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
    assert len(decoded) / rate == pytest.approx(len(plain.audio) / 2 / WIRE_RATE, abs=0.06)
    for end in accumulate(len(turn.audio) for turn in plain.turns[:-1]):
        pause = decoded[round((end / 2 / WIRE_RATE + 0.07) * rate) :][: round((SPEAKER_PAUSE_S - 0.1) * rate)]
        assert np.abs(pause).max() < 0.02, "the pauses are where they are in PCM"


@pytest.mark.parametrize(
    ("messages", "text", "turns"),
    [
        ([said("Hola, "), said("amigo. "), {"flush": True}, said("Adiós. ")], "Hola, amigo. Adiós. ", 1),
        ([said("Hola, "), said("amigo. ", new_turn=True)], "Hola, amigo. ", 2),
        ([said("Hola [amigo")], "Hola [amigo ", 1),
    ],
)
async def test_text_of_one_voice_is_one_turn_unless_asked_for(
    espeak_app: AppServer, messages: list[dict[str, Any]], text: str, turns: int
) -> None:
    received = await spoken(espeak_app, *messages)
    assert (received.text, len(received.turns)) == (text, turns)


async def test_tags_are_not_spoken_and_untimed_dialogue_has_no_alignment(espeak_app: AppServer) -> None:
    plain = await spoken(espeak_app, said("Hola amigo. "))
    tagged = await spoken(espeak_app, said("Hola [whis"), said("pers softly] amigo. "))
    assert len(tagged.audio) == len(plain.audio)
    assert tagged.text == "Hola [whispers softly] amigo. "
    async with dialogue(espeak_app, sync_alignment="false") as socket:
        await send(socket, {"voices": [ES]}, said("Hola."), {"close_socket": True})
        first = json.loads(await socket.recv())
    assert first.keys() == {"audio"}


async def test_fields_come_in_the_order_of_the_service(espeak_app: AppServer) -> None:
    async with dialogue(espeak_app) as socket:
        await send(socket, {"voices": [ES]}, said("Hola."), {"close_socket": True})
        first = json.loads(await socket.recv())
    assert [*first] == ["alignment", "audio", "normalized_alignment"]
    assert [*first["alignment"]] == ["char_durations_ms", "char_start_times_ms", "chars"]


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
        assert {name: heard.text for name, heard in contexts.items()} == {"a": "Hola a. ", "b": "Hola b. "}
        await send(socket, {"context_id": "a", "voices": [EN]}, {"context_id": "a", **said("Again.", EN)})
        await send(socket, {"context_id": "a", "close_context": True})
        assert (await receive(socket)).text == "Again. "
