"""The examples as a user starts them, with files for devices."""

import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT, ServerProcess
from tests.judges.judge import hear, word_error_rate
from tests.support.patience import WITHIN_S
from tests.support.programs import python

EXAMPLES = ROOT / "examples"
WRONG_AT_MOST = 0.04  # of the words; of a sentence of a dozen: none
SPANISH = "Buenos días, hoy vamos a preparar una tortilla de patatas con mucha cebolla."


def run(example: str, *arguments: str | Path, code: int = 0) -> str:
    """Output of an example."""
    ended = python(EXAMPLES / example, *map(str, arguments), code=code)
    assert "Traceback" not in ended.stderr
    return ended.stdout + ended.stderr


def heard(path: Path) -> float:
    """Share of SPANISH's words that are not recognised in a WAV file."""
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
    return word_error_rate(SPANISH, hear(samples, 24_000, "es"), "es")


@pytest.fixture(scope="module")
def recording(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recording that kyutai_speak.py writes, input of the other examples."""
    path = tmp_path_factory.mktemp("recording") / "speech.wav"
    run("kyutai_speak.py", SPANISH, "-o", path, "--voice", "ef_dora", "--server", server.url)
    return path


@pytest.mark.server
@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_help_without_the_libraries(example: str) -> None:
    bare = [sys.executable, "-S", "-E", str(EXAMPLES / example), "--help"]
    ended = subprocess.run(bare, capture_output=True, text=True, timeout=WITHIN_S)
    told = ended.stdout + ended.stderr
    assert "Traceback" not in told
    assert "python start_websocket_server.py" in told or "Copy this file" in told
    assert "pip install" in told.splitlines()[-1]


def test_text_to_a_file(recording: Path) -> None:
    assert heard(recording) <= WRONG_AT_MOST


def test_a_file_to_words(server: ServerProcess, recording: Path, tmp_path: Path) -> None:
    for language in ([], ["--language", "spanish"]):
        words = run("kyutai_listen.py", recording, "--server", server.url, *language)
        assert word_error_rate(SPANISH, words, "es") <= WRONG_AT_MOST, words
    with wave.open(str(recording)) as file:
        once = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    twice = np.concatenate([once, np.zeros(4 * 24_000, "<i2"), once])
    stereo = tmp_path / "stereo.wav"
    with wave.open(str(stereo), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(np.repeat(twice, 4).tobytes())
    sentences = run("kyutai_listen.py", stereo, "--server", server.url).split("|")
    for words in sentences[:2]:
        assert word_error_rate(SPANISH, words, "es") <= WRONG_AT_MOST, sentences
    assert not "".join(sentences[2:]).strip()


def test_the_documents_client_that_speaks(server: ServerProcess, tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"
    said = run("kyutai_tts_client.py", SPANISH, "-o", path, "--voice", "ef_dora", "--server", server.url)
    assert heard(path) <= WRONG_AT_MOST
    *words, last = said.splitlines()
    assert [line.split()[2] for line in words] == SPANISH.split()
    assert last.startswith(f"{path}: ")


@pytest.mark.heard
def test_the_documents_client_that_listens(server: ServerProcess, recording: Path, tmp_path: Path) -> None:
    transcript = tmp_path / "said.txt"
    printed = run("kyutai_stt_client.py", recording, "-o", transcript, "--server", server.url)
    written = transcript.read_text(encoding="utf-8")
    assert word_error_rate(SPANISH, written, "es") <= WRONG_AT_MOST, written
    assert [line.rpartition(" ")[2] for line in printed.splitlines()] == written.split()


@pytest.fixture
def silence(tmp_path: Path) -> Path:
    """A recording of a second without speech."""
    path = tmp_path / "silence.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(bytes(48_000))
    return path


@pytest.mark.parametrize(
    ("example", "arguments"),
    [
        ("kyutai_speak.py", ["Hola.", "-o", "{folder}/speech.wav"]),
        ("kyutai_tts_client.py", ["Hola.", "-o", "{folder}/speech.wav"]),
        ("kyutai_listen.py", ["{folder}/silence.wav"]),
        ("kyutai_stt_client.py", ["{folder}/silence.wav"]),
    ],
)
def test_without_a_server_or_a_key_one_line_says_so(
    example: str, arguments: list[str], espeak_server: ServerProcess, tmp_path: Path, silence: Path
) -> None:
    assert silence.parent == tmp_path
    paths = [argument.format(folder=tmp_path) for argument in arguments]
    printed = run(example, *paths, "--server", "ws://localhost:9", code=1)
    assert printed.startswith("ws://localhost:9: ") and "start_websocket_server.py" in printed
    printed = run(example, *paths, "--server", espeak_server.url, "--key", "guessed", code=1)
    assert printed.startswith(f"{espeak_server.url}: ") and "401" in printed


@pytest.mark.parametrize("example", ["kyutai_listen.py", "kyutai_stt_client.py"])
def test_language_of_a_recording_is_sent(example: str, espeak_server: ServerProcess, silence: Path) -> None:
    """It arrives where an unknown one is refused."""
    printed = run(example, silence, "--server", espeak_server.url, "--language", "klingonese", code=1)
    assert "HTTP 400" in printed


@pytest.mark.server
@pytest.mark.parametrize("example", ["kyutai_speak.py", "kyutai_listen.py", "talk.py"])
def test_without_a_sound_device_the_cure_is_named(example: str, tmp_path: Path) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    text = {"kyutai_speak.py": ["Hola."], "talk.py": ["http://127.0.0.1:9/v1"]}.get(example, [])
    code = f"import runpy, sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv[1:] = {text!r}; "
    code += f"runpy.run_path({str(EXAMPLES / example)!r}, run_name='__main__')"
    ended = python("-c", code, code=1)
    assert "PortAudio library not found" in ended.stderr and "pip install sounddevice" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_every_example_is_listed() -> None:
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for example in EXAMPLES.glob("*.py"):
        assert f"({example.name})" in readme
        if '__name__ == "__main__"' in example.read_text(encoding="utf-8"):
            assert f"python examples/{example.name}" in readme
