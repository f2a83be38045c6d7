"""The relay's example client."""

import re
from pathlib import Path

import pytest
import soundfile

from tests.clients.relay.wire import RATE
from tests.conftest import ServerProcess
from tests.support.programs import example

CLIENT = "relay_client.py"


@pytest.mark.parametrize("mode", [[], ["--as-written"]], ids=["whole", "written"])
def test_example_client_writes_speech(espeak_server: ServerProcess, tmp_path: Path, mode: list[str]) -> None:
    path, text = tmp_path / "hello.wav", "مَرْحَبًا بالعالم"
    printed = example(CLIENT, text, "-o", path, "--server", espeak_server.url, *mode).splitlines()
    letters = [re.fullmatch(r" *(\d+) ms {2}(.)", line) for line in printed[:-1]]
    assert "".join(match[2] for match in letters if match) == text
    times = [int(match[1]) for match in letters if match]
    assert times == sorted(times) and times[0] == 0
    samples, rate = soundfile.read(path, dtype="int16")
    assert (rate, samples.ndim, soundfile.info(path).subtype) == (RATE, 1, "PCM_16")
    assert abs(samples).max() > 3000 and times[-1] < 1000 * len(samples) / RATE
    assert printed[-1] == f"{path}: {len(samples) / RATE:.2f} s"


def test_example_client_reports_errors_in_one_line(espeak_server: ServerProcess) -> None:
    printed = example(CLIENT, "Hola", "--server", "ws://localhost:9", code=1)
    assert printed.startswith("ws://localhost:9: ") and "start_websocket_server.py" in printed
    printed = example(CLIENT, "", "--server", espeak_server.url, code=1)
    assert printed == f"{espeak_server.url}: No text provided\n"
