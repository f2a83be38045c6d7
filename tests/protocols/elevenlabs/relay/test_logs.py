"""The relay's log files: format, names and limits."""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from kani.composition.settings import load
from kani.protocols.elevenlabs.relay import alignment_files
from kani.protocols.elevenlabs.relay.alignment_files import RelayLogs, SentUtterance
from tests.clients.relay.wire import connect_client
from tests.conftest import ServerProcess
from tests.support.servers.app_server import StartApp

STAMP = r"\d{8}_\d{6}_\d{6}"


def said(text: str = "مرح") -> SentUtterance:
    return SentUtterance(text, [100 * index for index in range(len(text))], [100] * len(text))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_are_named_by_time_and_newest(tmp_path: Path) -> None:
    logs = RelayLogs(tmp_path / "logs")
    said_in_turn = ["../../uno\0", *map(str, range(50)), "dos\n"]
    for text in said_in_turn:
        logs.write(said(text))
    alignments, outputs = tmp_path / "logs/alignment", tmp_path / "logs/outputs"
    assert names(tmp_path / "logs") == ["alignment", "outputs"]
    newest, *others = names(alignments)
    assert newest == "alignment.txt" and names(outputs)[0] == "output.txt"
    for name, text in zip((*others, newest), (*said_in_turn, "dos\n"), strict=True):
        content = json.loads((alignments / name).read_text(encoding="utf-8"))
        output = outputs / f"output_{content['timestamp']}.txt"
        assert (content["text"], output.read_bytes()) == (text, text.encode())
        assert name in (newest, f"alignment_{content['timestamp']}.json")
    assert (outputs / "output.txt").read_bytes() == b"dos\n"
    assert len(names(outputs)) == 1 + len(said_in_turn)


def test_oldest_files_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alignment_files, "MAX_FILES", 3)
    logs = RelayLogs(tmp_path)
    folder = tmp_path / "alignment"
    folder.mkdir()
    (folder / "alignment_20200101_000000_000000.json").write_text("old")
    (folder / "alignment_mine.json").write_text("mine")
    for number in range(5):
        logs.write(said(f"{number}"))
    kept = [name for name in names(folder) if re.fullmatch(rf"alignment_{STAMP}\.json", name)]
    assert [json.loads((folder / name).read_text())["text"] for name in kept] == ["2", "3", "4"]
    assert names(folder) == sorted([*kept, "alignment.txt", "alignment_mine.json"])


def test_surrogates_and_files_that_cannot_be_written_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    RelayLogs(tmp_path).write(said("a\ud83d"))
    content = json.loads((tmp_path / "alignment/alignment.txt").read_text(encoding="utf-8"))
    assert content["text"] == "a\ud83d" and content["characters"][1]["char"] == "\ud83d"
    assert (tmp_path / "outputs/output.txt").read_text(encoding="utf-8") == "a\\ud83d"
    (tmp_path / "logs").write_text("a file where the folder should be")
    RelayLogs(tmp_path / "logs").write(said())
    assert "writing the relay's log files failed" in caplog.text
    monkeypatch.setattr(alignment_files, "MAX_FILE_BYTES", 500)
    RelayLogs(tmp_path / "short").write(said("a" * 400))
    assert names(tmp_path / "short") == ["outputs"]
    assert re.search(r"alignment of \d+ bytes not written \(at most 500\)", caplog.text)


async def test_server_writes_complete_utterances(start_app: StartApp, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    server = start_app(KANI_RELAY_LOGS=str(logs))
    text = "مَرْحَبًا بالعالم 👋"
    async with connect_client(server.url) as client:
        await client.send("start_tts", text="Esto no se acaba nunca. " * 200)
        await client.receive()
        await client.send("stop")
        assert await client.receive_after_chunks() == {"type": "stopped"}
        answer = await client.speak(text)
        answer.check(text)
    (name,) = (name for name in names(logs / "alignment") if name != "alignment.txt")
    content = json.loads((logs / "alignment" / name).read_text(encoding="utf-8"))
    written = datetime.strptime(content["timestamp"], "%Y%m%d_%H%M%S_%f")
    assert abs((datetime.now() - written).total_seconds()) < 60
    # The form is that of the original.
    expected = {
        "timestamp": content["timestamp"],
        "text": text,
        "text_length": len(text),
        "total_duration_ms": answer.starts[-1] + answer.durations[-1],
        "char_count": len(text),
        "characters": [
            {"index": index, "char": char, "start_ms": start, "duration_ms": duration}
            for index, (char, start, duration) in enumerate(
                zip(text, answer.starts, answer.durations, strict=True)
            )
        ],
    }
    for file in (name, "alignment.txt"):
        saved = (logs / "alignment" / file).read_text(encoding="utf-8")
        assert saved == json.dumps(expected, ensure_ascii=False, indent=2)
    assert names(logs / "outputs") == ["output.txt", f"output_{content['timestamp']}.txt"]
    assert (logs / "outputs/output.txt").read_text(encoding="utf-8") == text


ORIGINAL_ENV = {
    "ELEVEN_API_KEY": "sk_0123456789",
    "ELEVEN_VOICE_ID": "21m00Tcm4TlvDq8ikWAM",
    "LIVEKIT_API_KEY": "APIkey",
    "LIVEKIT_API_SECRET": "a secret of thirty-two characters",
}
"""The variables that the original relay requires."""


@pytest.mark.server
async def test_env_file_of_the_original_relay_saves_alignments_where_it_did(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in ORIGINAL_ENV.items()))
    server = ServerProcess(tmp_path, "--compat", "--engine", "espeak")
    try:
        server.wait_until_ready()
        assert f"  saves    the relay's texts in {tmp_path}/logs/alignment\n" in server.banner
        async with connect_client(f"ws://localhost:{server.compat['relay']}") as client:
            (await client.speak("مرحبا بالعالم")).check("مرحبا بالعالم")
        server.stop()
    finally:
        server.leave()
    assert names(tmp_path / "logs") == ["alignment", "outputs"]
    (path,) = (tmp_path / "logs/alignment").glob("alignment_*.json")
    assert json.loads(path.read_text(encoding="utf-8"))["text"] == "مرحبا بالعالم"


def test_variables_of_the_original_relay_save_alignments() -> None:
    def folder(**given: str) -> Any:
        return load({}, given, Path("no file")).value("relay_logs")

    assert folder() is None
    assert folder(**ORIGINAL_ENV) == Path("logs") and folder(**ORIGINAL_ENV, LOG_ALIGNMENT="false") is None
    for missing in ORIGINAL_ENV:
        given = {name: value for name, value in ORIGINAL_ENV.items() if name != missing}
        assert folder(**given) is None, missing
    assert folder(LOG_ALIGNMENT="true") == folder(LOG_OUTPUTS="true", LOG_ALIGNMENT="false") == Path("logs")
    assert folder(LOG_OUTPUTS="false") is None
    assert folder(LOG_OUTPUTS="true", KANI_RELAY_LOGS="elsewhere") == Path("elsewhere")
