"""Clients for Node, unmodified: OpenAI's package, Vercel's AI SDK, OpenAI's Agents SDK.

OpenAI's package over TLS: its Realtime classes connect by wss only.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from kani.core.audio.pcm import pcm16
from kani.core.types import Samples
from tests.clients.openai.conftest import FIRST, RATE, SECOND, assert_understood
from tests.conftest import ServerProcess
from tests.server.network.test_tls import Files, files, secure  # noqa: F401 - fixtures
from tests.support.programs import installed, node

PROJECT = Path(__file__).parent / "node"
TEXT = "Good morning. How are you today?"

Call = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages that package-lock.json pins, and the script that uses them."""
    return installed(PROJECT, tmp_path_factory.mktemp("node"))


@pytest.fixture
def call(project: Path, files: Files, secure: ServerProcess) -> Call:  # noqa: F811
    """Run one of the package's calls: ``call("transcribe", input=path, model="whisper-1")``."""
    url = f"https://localhost:{secure.port}/v1"
    return caller(project / "client.mjs", BASE_URL=url, NODE_EXTRA_CA_CERTS=str(files.authority))


@pytest.fixture
def sdk(project: Path, server: ServerProcess) -> Call:
    """Run one of the other SDKs' calls in the same way."""
    return caller(project / "sdks.mjs", BASE_URL=f"{server.http_url}/v1")


def caller(script: Path, **environment: str) -> Call:
    return lambda name, **options: node(script, name, json.dumps(options, default=str), **environment)


@pytest.fixture
def turns(sentences: list[Samples]) -> list[Samples]:
    """The sentences, with silence around each."""
    return [np.pad(samples, round(0.7 * RATE)) for samples in sentences]


def test_node_package_lists_models_and_has_its_own_error(call: Call, tmp_path: Path) -> None:
    assert "tts-1" in call("models")["names"]
    refused = call("speak", model="tts-1", voice="nobody", input="Hi.", output=tmp_path / "none")
    assert refused.pop("requestID")
    expected = {"error": "BadRequestError", "status": 400, "param": "voice", "code": "voice_not_found"}
    assert refused == expected


def test_speech_arrives_whole_and_streamed(call: Call, tmp_path: Path) -> None:
    request = {"model": "gpt-4o-mini-tts", "voice": "coral", "input": TEXT, "instructions": "Be calm."}
    whole, streamed, mp3 = (tmp_path / name for name in ("whole.pcm", "streamed.pcm", "speech.mp3"))
    call("speak", **request, response_format="pcm", output=whole)
    assert call("stream", **request, response_format="pcm", output=streamed)["chunks"] > 3
    assert streamed.read_bytes() == whole.read_bytes()
    assert np.abs(np.frombuffer(whole.read_bytes(), "<i2")).max() > 3000
    assert call("speak", **request, output=mp3) == {"type": "audio/mpeg"}
    assert mp3.stat().st_size > 2000


def test_recording_is_transcribed(call: Call, recording: Path, sentences: list[Samples]) -> None:
    given = {"input": recording, "model": "whisper-1", "response_format": "verbose_json"}
    assert_understood(call("transcribe", input=recording, model="whisper-1")["text"], FIRST)
    verbose = call("transcribe", **given, timestamp_granularities=["word", "segment"])
    assert verbose["language"] == "english"
    assert verbose["duration"] == pytest.approx(len(sentences[0]) / RATE, abs=0.1)
    assert_understood("".join(segment["text"] for segment in verbose["segments"]), FIRST)
    edges = [edge for word in verbose["words"] for edge in (word["start"], word["end"])]
    assert edges == sorted(edges) and len(verbose["words"]) == len(verbose["text"].split())
    *deltas, done = call("transcribe", input=recording, model="gpt-4o-mini-transcribe", stream=True)["events"]
    assert {event["type"] for event in deltas} == {"transcript.text.delta"}
    assert done["type"] == "transcript.text.done"
    assert "".join(event["delta"] for event in deltas) == done["text"]
    assert_understood(done["text"], FIRST)


@pytest.mark.parametrize(
    ("transport", "turn_detection", "texts"),
    [("ws", {"type": "server_vad"}, [FIRST, SECOND]), ("WebSocket", None, [FIRST])],
    ids=["ws, server_vad", "WebSocket, committed"],
)
def test_realtime_transcribes(
    call: Call, turns: list[Samples], tmp_path: Path, transport: str, turn_detection: Any, texts: list[str]
) -> None:
    audio = tmp_path / "speech.pcm"
    audio.write_bytes(pcm16(np.concatenate(turns[: len(texts)])))
    heard = call("listen", transport=transport, input=audio, turn_detection=turn_detection, count=len(texts))
    for transcript, text in zip(heard["transcripts"], texts, strict=True):
        assert_understood(transcript, text)
    assert "".join(heard["deltas"]) == "".join(heard["transcripts"])
    assert heard["events"][:2] == ["session.created", "session.updated"]


def test_vercel_sdk_speaks(sdk: Call, tmp_path: Path) -> None:
    """Where it is refused, it shows the server's sentence."""
    given = {"model": "gpt-4o-mini-tts", "text": TEXT, "output": tmp_path / "speech"}
    for kind, mime in (("mp3", "audio/mpeg"), ("wav", "audio/wav"), ("flac", "audio/flac")):
        assert sdk("speak", **given, voice="coral", outputFormat=kind) == {"type": mime}
        samples, rate = soundfile.read(tmp_path / "speech")
        assert rate == RATE and np.abs(samples).max() > 0.1
    refused = sdk("speak", **given, voice="nobody")
    assert (refused["error"], refused["status"]) == ("AI_APICallError", 400)
    assert "unknown voice 'nobody'" in refused["message"]


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("whisper-1", None),
        ("whisper-1", {"timestampGranularities": ["word"]}),
        ("gpt-4o-transcribe", {"language": "en"}),
        ("gpt-4o-mini-transcribe", {"timestampGranularities": ["word"]}),
    ],
)
def test_vercel_sdk_transcribes(sdk: Call, recording: Path, model: str, settings: Any) -> None:
    assert_understood(sdk("transcribe", input=recording, model=model, settings=settings)["text"], FIRST)


def test_agents_sdk_keeps_configuration_and_history(sdk: Call, turns: list[Samples], tmp_path: Path) -> None:
    audio = tmp_path / "speech.pcm"
    audio.write_bytes(pcm16(turns[0]))
    heard = sdk("converse", input=audio, voice="marin")
    assert_understood(heard["transcript"], FIRST)
    # Its tool is refused, and nothing else.
    assert "session.tools" in heard["errors"]
    assert (heard["voice"], heard["turnDetection"]) == ("marin", "semantic_vad")
