"""The examples as a user starts them, with files for devices."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.conftest import ROOT, ServerProcess
from tests.judges.judge import hear, word_error_rate
from tests.support.patience import WITHIN_S
from tests.support.programs import example, python

EXAMPLES = ROOT / "examples"
WRONG_AT_MOST = 0.04  # of the words; of a sentence of a dozen: none
SPANISH = "Buenos días, hoy vamos a preparar una tortilla de patatas con mucha cebolla."


def heard(path: Path) -> float:
    """Share of SPANISH's words that are not recognised in a WAV file."""
    with soundfile.SoundFile(path) as file:
        assert (file.samplerate, file.channels, file.subtype) == (24_000, 1, "PCM_16")
        samples = file.read(dtype="float32")
    return word_error_rate(SPANISH, hear(samples, 24_000, "es"), "es")


@pytest.fixture(scope="module")
def recording(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recording that kyutai_speak.py writes, input of the other examples."""
    path = tmp_path_factory.mktemp("recording") / "speech.wav"
    example("kyutai_speak.py", SPANISH, "-o", path, "--voice", "ef_dora", "--server", server.url)
    return path


@pytest.mark.server
@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_help_without_the_libraries(path: Path) -> None:
    bare = [sys.executable, "-S", "-E", str(path), "--help"]
    ended = subprocess.run(bare, capture_output=True, text=True, timeout=WITHIN_S)
    told = ended.stdout + ended.stderr
    assert "Traceback" not in told
    assert "python start_websocket_server.py" in told or "Copy this file" in told
    assert "pip install" in told.splitlines()[-1]


def test_text_to_a_file(recording: Path) -> None:
    assert heard(recording) <= WRONG_AT_MOST


def test_a_file_to_words(server: ServerProcess, recording: Path, tmp_path: Path) -> None:
    for language in ([], ["--language", "spanish"]):
        words = example("kyutai_listen.py", recording, "--server", server.url, *language)
        assert word_error_rate(SPANISH, words, "es") <= WRONG_AT_MOST, words
    once, _ = soundfile.read(recording, dtype="int16")
    twice = np.concatenate([once, np.zeros(4 * 24_000, "<i2"), once])
    stereo = tmp_path / "stereo.wav"
    soundfile.write(stereo, np.repeat(twice, 4).reshape(-1, 2), 48_000, subtype="PCM_16")
    sentences = example("kyutai_listen.py", stereo, "--server", server.url).split("|")
    for words in sentences[:2]:
        assert word_error_rate(SPANISH, words, "es") <= WRONG_AT_MOST, sentences
    assert not "".join(sentences[2:]).strip()


def test_the_documents_client_that_speaks(server: ServerProcess, tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"
    said = example("kyutai_tts_client.py", SPANISH, "-o", path, "--voice", "ef_dora", "--server", server.url)
    assert heard(path) <= WRONG_AT_MOST
    *words, last = said.splitlines()
    assert [line.split()[2] for line in words] == SPANISH.split()
    assert last.startswith(f"{path}: ")


@pytest.mark.heard
def test_the_documents_client_that_listens(server: ServerProcess, recording: Path, tmp_path: Path) -> None:
    transcript = tmp_path / "said.txt"
    printed = example("kyutai_stt_client.py", recording, "-o", transcript, "--server", server.url)
    written = transcript.read_text(encoding="utf-8")
    assert word_error_rate(SPANISH, written, "es") <= WRONG_AT_MOST, written
    assert [line.rpartition(" ")[2] for line in printed.splitlines()] == written.split()


@pytest.fixture
def silence(tmp_path: Path) -> Path:
    """A recording of a second without speech."""
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(24_000, "<i2"), 24_000, subtype="PCM_16")
    return path


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        *((f"kyutai_{name}.py", "Hola. -o {folder}/speech.wav") for name in ("speak", "tts_client")),
        *((f"kyutai_{name}.py", "{folder}/silence.wav") for name in ("listen", "stt_client")),
    ],
)
def test_without_a_server_or_a_key_one_line_says_so(
    program: str, arguments: str, espeak_server: ServerProcess, silence: Path
) -> None:
    paths = arguments.format(folder=silence.parent).split()
    printed = example(program, *paths, "--server", "ws://localhost:9", code=1)
    assert printed.startswith("ws://localhost:9: ") and "starts one" in printed
    printed = example(program, *paths, "--server", espeak_server.url, "--key", "guessed", code=1)
    assert printed.startswith(f"{espeak_server.url}: ") and "401" in printed
    assert "starts one" not in printed


@pytest.mark.parametrize("program", ["kyutai_listen.py", "kyutai_stt_client.py"])
def test_language_of_a_recording_is_sent(program: str, espeak_server: ServerProcess, silence: Path) -> None:
    """It arrives where an unknown one is refused."""
    printed = example(program, silence, "--server", espeak_server.url, "--language", "klingonese", code=1)
    assert "HTTP 400" in printed


@pytest.mark.server
@pytest.mark.parametrize(
    ("program", "given"),
    [("kyutai_speak.py", ["Hola."]), ("kyutai_listen.py", []), ("talk.py", ["http://127.0.0.1:9/v1"])],
)
def test_without_a_sound_device_the_cure_is_named(program: str, given: list[str], tmp_path: Path) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    code = f"import runpy, sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv[1:] = {given!r}; "
    code += f"runpy.run_path({str(EXAMPLES / program)!r}, run_name='__main__')"
    ended = python("-c", code, code=1)
    assert "PortAudio library not found" in ended.stderr and "pip install sounddevice" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_every_example_is_listed() -> None:
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for path in EXAMPLES.glob("*.py"):
        assert f"({path.name})" in readme
        if '__name__ == "__main__"' in path.read_text(encoding="utf-8"):
            assert f"python examples/{path.name}" in readme
