"""Python clients that need other versions than the development environment has, unmodified.

litellm, openai-agents and LangChain are run by the Python that KANI_CLIENTS_PYTHON names:
``pip install --no-deps -r tests/clients/openai/python/requirements.txt`` in an environment of its own.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from kani.core.audio.pcm import pcm16
from kani.core.types import Samples
from tests.clients.openai.conftest import FIRST, RATE, SECOND, assert_understood
from tests.conftest import ServerProcess
from tests.support.programs import ran

PYTHON = os.environ.get("KANI_CLIENTS_PYTHON", "")
SCRIPT = Path(__file__).parent / "python" / "client.py"
FORMATS = ("json", "verbose_json", "text", "srt")

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(not PYTHON, reason="KANI_CLIENTS_PYTHON names no python with litellm"),
]


def call(http_url: str, *calls: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Run calls of the script, in one process: the libraries take seconds to be imported."""
    environment = os.environ | {"BASE_URL": f"{http_url}/v1"}
    done = ran(PYTHON, SCRIPT, json.dumps(calls, default=str), env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def test_litellm_speaks_and_transcribes(server: ServerProcess, recording: Path, tmp_path: Path) -> None:
    """Its model of a transcription has whole seconds."""
    speech = tmp_path / "speech.flac"
    transcribe = {"input": recording, "model": "openai/whisper-1"}
    speak = {"model": "openai/tts-1", "input": FIRST, "voice": "nova", "response_format": "flac"}
    *heard, spoken, refused = call(
        server.http_url,
        *(("litellm_transcribe", transcribe | {"response_format": kind}) for kind in FORMATS),
        ("litellm_speak", speak | {"output": speech}),
        ("litellm_chat", {}),
    )
    for answer, kind in zip(heard, FORMATS, strict=True):
        assert_understood(answer["text"].splitlines()[2] if kind == "srt" else answer["text"], FIRST)
    assert spoken == {"type": "audio/flac"}
    assert np.abs(soundfile.read(speech)[0]).max() > 0.1
    assert "it is no language model" in refused["message"]


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="no ffmpeg, by which LangChain's parser encodes")
def test_langchain_parses_a_recording(server: ServerProcess, recording: Path) -> None:
    (parsed,) = call(server.http_url, ("langchain_parse", {"input": recording}))
    assert_understood(" ".join(parsed["texts"]), FIRST)


def test_pipeline_hears_all_turns(server: ServerProcess, sentences: list[Samples], tmp_path: Path) -> None:
    """openai-agents; also the last turn, though the audio ends with its last word."""
    pause = np.zeros(round(1.5 * RATE), np.float32)
    audio = tmp_path / "speech.pcm"
    audio.write_bytes(pcm16(np.concatenate([pause, sentences[0], pause, sentences[1]])))
    streamed, whole = call(
        server.http_url,
        *(("agents_voice", {"input": audio, "streamed": streamed}) for streamed in (True, False)),
    )
    assert len(streamed["heard"]) == 2
    for answer in (streamed, whole):
        assert_understood(" ".join(answer["heard"]), f"{FIRST} {SECOND}")
        assert answer["spoken_s"] > 4
