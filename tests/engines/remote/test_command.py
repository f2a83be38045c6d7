"""Workers that the command line starts, and a server whose engine and recogniser are theirs."""

from pathlib import Path

import httpx

from tests.conftest import StartServer


def test_server_speaks_and_recognises_by_workers(tmp_path: Path, start_server: StartServer) -> None:
    speaks, hears = (f"unix:{tmp_path}/private/{name}.sock" for name in ("speaks", "hears"))
    for arguments in (
        ("--engine", "espeak", "--worker", speaks),
        ("--recognizer", "whisper", "--recognizer-worker", hears),
    ):
        worker = start_server(*arguments, ready=False)
        assert b"Ctrl+C stops it" in worker.process.stdout.readline()
    server = start_server(
        *("--engine", "remote", "--recognizer", "remote"),
        KANI_ENGINE_ADDRESS=speaks,
        KANI_RECOGNIZER_ADDRESS=hears,
    )
    assert "(espeak " in server.banner and "(whisper " in server.banner
    said = {"model": "tts-1", "voice": "alloy", "input": "The train leaves at nine."}
    with httpx.Client(base_url=f"{server.http_url}/v1/audio") as client:
        spoken = client.post("/speech", json=said).content
        form = {"model": "whisper-1", "language": "en"}
        heard = client.post("/transcriptions", files={"file": ("spoken.mp3", spoken)}, data=form)
    assert "train" in heard.json()["text"].lower(), heard.text
    # This process has no such library's files mapped.
    assert "ctranslate2" not in Path(f"/proc/{server.process.pid}/maps").read_text(encoding="utf-8")
