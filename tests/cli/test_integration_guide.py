"""The guides' examples run: ours, snippet by snippet, and the original guide's own snippets.

They run in processes of their own, in a folder that holds nothing but the two files an assistant copies
(their port changed, as the guide says), with `await` at top level as in `python -m asyncio`.
"""

import base64
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import soundfile
from websockets.sync.client import connect

from tests.conftest import ROOT
from tests.snippets import RUNNER, snippets
from tests.support.patience import WITHIN_S
from tests.support.programs import python

GUIDE = ROOT / "docs" / "integration_guide.md"
SNIPPETS = [one.code for one in snippets("python") if one.page == f"docs/{GUIDE.name}"]

ORIGINAL = re.findall(
    r"^## ([^\n]+)\n\n([^\n]+)\n\n```snippet\n(.*?)^```",
    Path(__file__).with_name("original_guide.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)
"""Name, words that are said, and code of each."""


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
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONIOENCODING": "utf-8"}
    options = ("-W", "error", "-W", "ignore::ResourceWarning", "-c", RUNNER)
    return python(
        *options, given=json.dumps({"guide": snippet.replace("8001", str(port))}), cwd=folder, env=environment
    ).stdout


def test_the_guide_has_its_snippets() -> None:
    assert len(SNIPPETS) == GUIDE.read_text(encoding="utf-8").count("```python") >= 8
    assert len(ORIGINAL) == 6


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_snippets_of_the_guide_run(server: Any, assistant: Path, number: int) -> None:
    said = run(SNIPPETS[number], assistant, server.port)
    assert "failed" not in said and "no server" not in said
    if (hola := assistant / "hola.wav").exists():
        samples, rate = soundfile.read(hola)
        assert len(samples) / rate > 0.5


def test_the_copied_client_as_a_program(assistant: Path) -> None:
    done = python("websocket_client.py", "Hola", "-o", "hola.wav", cwd=assistant, code=1)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and "needs the folder kani/" in done.stderr


@pytest.mark.parametrize(
    ("text", "snippet"), [each[1:] for each in ORIGINAL], ids=[each[0] for each in ORIGINAL]
)
def test_snippets_of_the_original_are_heard(server: Any, assistant: Path, text: str, snippet: str) -> None:
    from tests.judges.judge import hear, wrong_words

    run(snippet, assistant, server.port)
    samples, rate = soundfile.read(assistant / "heard.wav", dtype="float32")
    assert rate == 22050 and len(samples) / rate > 0.5
    if text != "(not heard)":
        heard = hear(samples, rate, "es")
        wrong, words = wrong_words(text, heard, "es")
        # One word: Whisper joins "¡Hola! ¿Cómo estás?" by an "y" now and then.
        assert wrong <= max(1, words / 10), heard


@pytest.mark.heard
def test_the_assistant_example(server: Any, tmp_path: Path) -> None:
    from tests.judges.judge import hear, word_error_rate

    example = ROOT / "examples" / "assistant.py"
    done = python(example, "--host", server.host, "--port", str(server.port), "--folder", tmp_path)
    greeting, rate = soundfile.read(tmp_path / "greeting.wav", dtype="float32")
    heard = hear(greeting, rate, "es")
    assert word_error_rate("¡Hola! Soy tu asistente. ¿En qué te puedo ayudar?", heard, "es") <= 0.15, heard
    answer, rate = soundfile.read(tmp_path / "answer.wav")
    assert 4 <= len(answer) / rate < 15
    assert "interrupted" in done.stdout
