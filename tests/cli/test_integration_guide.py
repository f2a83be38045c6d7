"""The guides' examples run: ours, snippet by snippet, and the original guide's own snippets.

They run in processes of their own, in a folder that holds nothing but the two files an assistant copies
(their port changed, as the guide says), with `await` at top level as in `python -m asyncio`.
"""

import base64
import json
import os
import re
import shutil
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.sync.client import connect

from tests.conftest import ROOT
from tests.support.patience import WITHIN_S
from tests.support.programs import python

GUIDE = ROOT / "INTEGRATION_GUIDE.md"
SNIPPETS = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)

RUNNER = """
import ast, asyncio, inspect, sys
code = compile(sys.stdin.read(), "snippet", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
outcome = eval(code, {"__name__": "snippet"})
if inspect.iscoroutine(outcome):
    asyncio.run(outcome)
"""

# The original guide's snippets; what they leave open (the callback, where the audio goes) is added to them.
BEFORE_MESSAGE = """
import asyncio, base64, json, websockets
text = "¡Hola! ¿Cómo estás hoy?"
reference_audio = base64.b64encode(open("reference.wav", "rb").read()).decode()
websocket = await websockets.connect("ws://localhost:8001")
message = {
    "type": "tts_request",
    "data": {
        "text": text,
        "reference_audio": reference_audio
    }
}
await websocket.send(json.dumps(message))
answer = json.loads(await websocket.recv())
assert answer["data"]["status"] == "success", answer["data"]["message"]
open("heard.wav", "wb").write(base64.b64decode(answer["data"]["audio"]))
await websocket.close()
"""
PROTOCOL_MESSAGE = """
import base64, json, websockets
websocket = await websockets.connect("ws://localhost:8001")
await websocket.send('''{
    "type": "tts_request",
    "data": {
        "text": "¡Hola! ¿Cómo estás hoy?",
        "config": {
            "language": "spanish",
            "emotion": "friendly",
            "speed": 1.0,
            "temperature": 0.6,
            "max_tokens": 1200
        }
    }
}''')
answer = json.loads(await websocket.recv())
assert answer["type"] == "tts_response"
assert answer["data"]["message"] == "Audio generated successfully"
metadata = answer["data"]["metadata"]
assert (metadata["sample_rate"], metadata["channels"]) == (22050, 1)
assert (metadata["language"], metadata["emotion"]) == ("spanish", "friendly")
open("heard.wav", "wb").write(base64.b64decode(answer["data"]["audio"]))
await websocket.close()
"""
QUICK_START = """
from websocket_client import SpanishAITTSIntegration

# Initialize
integration = SpanishAITTSIntegration()
await integration.initialize()

# Generate Spanish speech
audio_data = await integration.generate_speech("¡Hola! ¿Cómo estás?")
open("heard.wav", "wb").write(audio_data)

# Stream for real-time playback
chunks = []
def your_callback(audio_bytes, metadata):
    chunks.append(audio_bytes)
await integration.stream_speech("Texto largo...", on_chunk=your_callback)
assert sum(map(len, chunks)) > 11025
await integration.disconnect()
"""
AFTER_FACADE = """
text = "¡Hola! ¿Cómo estás hoy?"
from websocket_client import SpanishAITTSIntegration
integration = SpanishAITTSIntegration("localhost", 8001)
await integration.initialize()
voice_config = {
    "language": "spanish",
    "emotion": "friendly",
    "speed": 1.0
}
audio_data = await integration.generate_speech(text, voice_config)
open("heard.wav", "wb").write(audio_data)
await integration.disconnect()
"""
AFTER_STREAMING = """
import wave
from websocket_client import SpanishAITTSIntegration
integration = SpanishAITTSIntegration()
text = "Este texto es un poco más largo, para escuchar cómo llega por partes."
heard = wave.open("heard.wav", "wb")
heard.setparams((1, 2, 22050, 0, "NONE", ""))
play_audio = heard.writeframes

def on_chunk(audio_bytes, metadata):
    # Handle audio chunk
    play_audio(audio_bytes)

assert await integration.stream_speech(text, chunk_callback=on_chunk)
heard.close()
await integration.disconnect()
"""
MANUAL_BASIC = """
# Test basic functionality
from websocket_client import KaniTTSClient
client = KaniTTSClient()
await client.connect()
audio = await client.send_tts_request("Hello world")
open("heard.wav", "wb").write(audio)
await client.disconnect()
"""
ORIGINAL = {
    "before, message": (BEFORE_MESSAGE, "¡Hola! ¿Cómo estás hoy?"),
    "protocol, message": (PROTOCOL_MESSAGE, "¡Hola! ¿Cómo estás hoy?"),
    "quick start": (QUICK_START, "¡Hola! ¿Cómo estás?"),
    "after, facade": (AFTER_FACADE, "¡Hola! ¿Cómo estás hoy?"),
    "after, streaming": (
        AFTER_STREAMING,
        "Este texto es un poco más largo, para escuchar cómo llega por partes.",
    ),
    "manual, basic": (MANUAL_BASIC, ""),
}


@pytest.fixture(scope="module")
def recording(server: Any) -> bytes:
    """A WAV file of somebody who speaks: six seconds of a voice that is not the language's own."""
    text = "El tren a la costa sale al mediodía, y por la tarde llega al puerto. Mañana vuelve muy temprano."
    config = {"language": "spanish", "voice_id": "em_alex"}
    with connect(server.url, max_size=None) as socket:
        socket.send(json.dumps({"type": "tts_request", "data": {"text": text, "config": config}}))
        answer = json.loads(socket.recv(timeout=WITHIN_S))
    return base64.b64decode(answer["data"]["audio"])


@pytest.fixture
def assistant(server: Any, recording: bytes, tmp_path: Path) -> Path:
    """An assistant's folder: the two copied files, their port the running server's, and a recording."""
    shutil.copy(ROOT / "websocket_client.py", tmp_path)
    config = (ROOT / "websocket_config.py").read_text(encoding="utf-8")
    changed, times = re.subn(
        r"^(WEBSOCKET_PORT.*= )8001$", rf"\g<1>{server.port}", config, flags=re.MULTILINE
    )
    assert times == 1
    (tmp_path / "websocket_config.py").write_text(changed, encoding="utf-8")
    for name in ("reference.wav", "referencia.wav"):
        (tmp_path / name).write_bytes(recording)
    return tmp_path


def run(snippet: str, folder: Path, port: int) -> str:
    """Run a snippet in the assistant's folder; what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONIOENCODING": "utf-8"}
    options = ("-W", "error", "-W", "ignore::ResourceWarning", "-c", RUNNER)
    return python(*options, given=snippet.replace("8001", str(port)), cwd=folder, env=environment).stdout


def samples_of(path: Path) -> tuple[Any, int]:
    with wave.open(str(path)) as file:
        pcm, rate = file.readframes(file.getnframes()), file.getframerate()
    return np.frombuffer(pcm, "<i2").astype(np.float32) / 32768, rate


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_snippets_of_the_guide_run(server: Any, assistant: Path, number: int) -> None:
    said = run(SNIPPETS[number], assistant, server.port)
    assert "failed" not in said and "no server" not in said
    if (hola := assistant / "hola.wav").exists():
        samples, rate = samples_of(hola)
        assert len(samples) / rate > 0.5


def test_the_guide_has_its_snippets() -> None:
    assert len(SNIPPETS) == GUIDE.read_text(encoding="utf-8").count("```python") >= 8


def test_the_copied_client_as_a_program(assistant: Path) -> None:
    done = python("websocket_client.py", "Hola", "-o", "hola.wav", cwd=assistant, code=1)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and "needs the folder kani/" in done.stderr


@pytest.mark.parametrize("name", ORIGINAL)
def test_snippets_of_the_original_guide_are_heard(server: Any, assistant: Path, name: str) -> None:
    from tests.judges.judge import hear, word_error_rate

    snippet, text = ORIGINAL[name]
    run(snippet, assistant, server.port)
    samples, rate = samples_of(assistant / "heard.wav")
    assert rate == 22050 and len(samples) / rate > 0.5
    if text:
        heard = hear(samples, rate, "es")
        assert word_error_rate(text, heard, "es") <= 0.1, heard


@pytest.mark.heard
def test_the_assistant_example(server: Any, tmp_path: Path) -> None:
    from tests.judges.judge import hear, word_error_rate

    example = ROOT / "examples" / "assistant.py"
    done = python(example, "--host", server.host, "--port", str(server.port), "--folder", tmp_path)
    greeting, rate = samples_of(tmp_path / "greeting.wav")
    heard = hear(greeting, rate, "es")
    assert word_error_rate("¡Hola! Soy tu asistente. ¿En qué te puedo ayudar?", heard, "es") <= 0.15, heard
    answer, rate = samples_of(tmp_path / "answer.wav")
    assert 4 <= len(answer) / rate < 15
    assert "interrupted" in done.stdout
