"""Workers that the command line starts, and a server whose engine and recogniser are theirs."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from tests.conftest import ROOT, SHARED, StartServer
from tests.support.patience import WITHIN_S


@contextmanager
def worker(folder: Path, *arguments: str, **environment: str) -> Iterator[None]:
    """A worker that serves; at the end it is stopped as an administrator would, and ends well."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("KANI_")}
    own = {"KANI_CACHE_DIR": os.environ[SHARED], "KANI_LOG_FILE": str(folder / "worker.log")}
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "start_websocket_server.py"), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=outside | own | environment,
        cwd=folder,
    )
    try:
        assert process.stdout is not None
        assert "Ctrl+C stops it" in process.stdout.readline()
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(WITHIN_S) == 0
    finally:
        process.kill()
        process.communicate()


def test_server_speaks_and_recognises_by_workers(tmp_path: Path, start_server: StartServer) -> None:
    speaks, hears = (f"unix:{tmp_path}/private/{name}.sock" for name in ("speaks", "hears"))
    with ExitStack() as stack:
        stack.enter_context(worker(tmp_path, "--engine", "espeak", "--worker", speaks))
        stack.enter_context(worker(tmp_path, "--recognizer", "whisper", "--recognizer-worker", hears))
        server = start_server(
            *("--engine", "remote", "--recognizer", "remote"),
            KANI_ENGINE_ADDRESS=speaks,
            KANI_RECOGNIZER_ADDRESS=hears,
        )
        assert "(espeak " in server.banner and "(whisper " in server.banner
        spoken = httpx.post(
            f"{server.http_url}/v1/audio/speech",
            json={"model": "tts-1", "voice": "alloy", "input": "The train leaves at nine."},
            timeout=WITHIN_S,
        )
        heard = httpx.post(
            f"{server.http_url}/v1/audio/transcriptions",
            files={"file": ("spoken.mp3", spoken.content)},
            data={"model": "whisper-1", "language": "en"},
            timeout=WITHIN_S,
        )
        assert "train" in heard.json()["text"].lower(), heard.text
        # This process has no such library's files mapped.
        assert "ctranslate2" not in Path(f"/proc/{server.process.pid}/maps").read_text(encoding="utf-8")
        server.stop()
