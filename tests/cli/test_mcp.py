"""``kani-tts mcp``, as the SDK's own client uses it: in process, by standard input and by HTTP."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcp import Client, StdioServerParameters
from mcp_types import CallToolResult, ListRootsResult, Root

from kani.cli.mcp import command, tools
from kani.cli.mcp.tools import SpeechTools
from kani.core.audio.pcm import wav
from kani.core.types import Samples
from kani.library import asynchronous
from tests.clients.openai_realtime import loud, quiet
from tests.conftest import ROOT
from tests.support.loudness import PausingRecognizer
from tests.support.patience import WITHIN_S, happens

RATE = 16_000


class Player:
    """A player that keeps its sound; ``held``: each write waits."""

    def __init__(self) -> None:
        self.pcm = b""
        self.ended = ""
        self.go = threading.Event()
        self.go.set()

    def __call__(self, sample_rate: int) -> Player:
        return self

    def write(self, pcm: bytes) -> None:
        self.go.wait(WITHIN_S)
        self.pcm += pcm

    def close(self) -> None:
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "aborted"


@pytest.fixture
def player(monkeypatch: pytest.MonkeyPatch) -> Player:
    made = Player()
    monkeypatch.setattr(tools, "find_player", lambda: made)
    return made


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SpeechTools]:
    monkeypatch.setenv("KANI_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(asynchronous, "build_own_recognizer", lambda settings: PausingRecognizer())
    monkeypatch.setattr(asynchronous, "build_turn_model", lambda _: None)
    made = SpeechTools("espeak", "auto")
    yield made
    await made.aclose()


def roots_of(*paths: Path) -> Callable[..., Any]:
    async def roots(*_: Any) -> ListRootsResult:
        return ListRootsResult(roots=[Root(uri=path.as_uri()) for path in paths])  # type: ignore[arg-type]

    return roots


def said(result: CallToolResult, *, refused: bool = False) -> str:
    assert result.is_error == refused, result.content
    return str(result.content[0].text)  # type: ignore[union-attr]


def refusal(result: CallToolResult) -> str:
    return said(result, refused=True)


MODES = pytest.mark.parametrize("mode", ["legacy", "auto"])


@MODES
async def test_tools_speak_and_tell_progress(served: SpeechTools, player: Player, mode: Any) -> None:
    progress: list[float] = []

    async def see(done: float, total: float | None, message: str | None) -> None:
        progress.append(done)

    async with Client(served.server, mode=mode) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert names == {"speak", "listen", "transcribe", "voices"}
        listed = (await client.call_tool("voices", {"language": "es"})).structured_content
        assert {voice["id"] for voice in listed["result"]} >= {"espeak:es", "espeak:es-419"}
        given = {"text": "Hello there. How are you?", "language": "en"}
        result = await client.call_tool("speak", given, progress_callback=see)
        assert said(result).startswith("said, ") and player.ended == "closed"
        assert len(player.pcm) > 24_000 and len(progress) >= 2 and progress == sorted(progress)
        for wrong, reason in (
            ({"voice": "nobody"}, "voice: unknown voice 'nobody'"),
            ({"language": "xx"}, "unsupported language"),
            ({"speed": 9}, "speed"),
            ({"emotion": "odd"}, "emotion"),
            ({"text": ""}, "text"),
        ):
            assert reason in refusal(await client.call_tool("speak", given | wrong))
        assert "unsupported language" in refusal(await client.call_tool("voices", {"language": "xx"}))


async def test_cancelled_speech_falls_silent(served: SpeechTools, player: Player) -> None:
    async with Client(served.server) as client:
        player.go.clear()
        speaking = asyncio.create_task(client.call_tool("speak", {"text": "Hello there. " * 20}))
        await happens(lambda: served._speaker.locked())
        player.go.set()
        await happens(lambda: player.pcm)
        player.go.clear()
        speaking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await speaking
        player.go.set()
        await happens(lambda: player.ended == "aborted")
        assert "said" in said(await client.call_tool("speak", {"text": "Again."}))


@MODES
async def test_files_are_below_the_clients_folders(
    served: SpeechTools, player: Player, tmp_path: Path, mode: Any
) -> None:
    project, outside = tmp_path / "project", tmp_path / "outside"
    for folder in (project, outside):
        folder.mkdir()
    (project / "link").symlink_to(outside)
    os.mkfifo(project / "pipe.wav")
    sound = np.concatenate([quiet(1.0, RATE), loud(1.0, RATE), quiet(1.0, RATE)])
    for folder in (project, outside):
        (folder / "a.wav").write_bytes(wav(sound, RATE))
    async with Client(served.server, mode=mode, list_roots_callback=roots_of(project)) as client:
        text = said(await client.call_tool("speak", {"text": "Hello.", "file": "hello.wav"}))
        assert text.startswith(f"{project / 'hello.wav'}: ") and (project / "hello.wav").stat().st_size > 1000
        assert not player.pcm
        for name in ("a.wav", str(project / "a.wav")):
            assert said(await client.call_tool("transcribe", {"file": name})) == "¡bum, hm."
        outer = ("../outside/a.wav", str(outside / "a.wav"), "link/a.wav", "/etc/passwd")
        for name in (*outer, "a\0b", "~nobody/a", "pipe.wav", "", "a" * 300 + ".wav"):
            for tool in ("transcribe", "speak"):
                given = {"file": name, **({"text": "Hello."} if tool == "speak" else {})}
                assert "file: " in refusal(await client.call_tool(tool, given))
        assert "no such file" in refusal(await client.call_tool("transcribe", {"file": "none.wav"})).lower()
        assert "hello.txt" in refusal(await client.call_tool("speak", {"text": "Hi.", "file": "hello.txt"}))
    assert sorted(path.name for path in outside.iterdir()) == ["a.wav"]
    async with Client(served.server, mode=mode) as client:
        assert "names no folders" in refusal(await client.call_tool("transcribe", {"file": "a.wav"}))


async def test_few_files_are_held_at_once(served: SpeechTools, tmp_path: Path) -> None:
    async with Client(served.server, list_roots_callback=roots_of(tmp_path)) as client:
        async with AsyncExitStack() as others:
            for _ in range(tools.WRITTEN_AT_ONCE):
                await others.enter_async_context(served._writing)
            for _ in range(tools.READ_AT_ONCE):
                await others.enter_async_context(served._reading)
            given = {"file": "a.wav"}
            speaking = asyncio.create_task(client.call_tool("speak", {"text": "Hello."} | given))
            hearing = asyncio.create_task(client.call_tool("transcribe", given))
            await happens(lambda: served._writing._waiters and served._reading._waiters)
            assert not (tmp_path / "a.wav").exists()
        assert "a.wav: " in said(await asyncio.wait_for(speaking, WITHIN_S))
        await asyncio.wait_for(hearing, WITHIN_S)


async def test_listening_ends_with_the_turn(served: SpeechTools, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[bool] = []

    async def microphone(seconds: float) -> AsyncIterator[Samples]:
        speech = np.concatenate([quiet(0.96, RATE), loud(0.8, RATE), quiet(6.4, RATE)])
        try:
            for at in range(0, len(speech), 1280):
                yield speech[at : at + 1280]
            await asyncio.Event().wait()  # the end of the turn has to close it
        finally:
            ended.append(True)

    monkeypatch.setattr(tools, "microphone", microphone)
    heard: list[str | None] = []

    async def see(done: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    async with Client(served.server) as client:
        text = said(await client.call_tool("listen", {"language": "en"}, progress_callback=see))
    assert text == "w0 w1 w2 w3 w4. w5 w6 w7 w8 w9." and heard[0] == "w0" and heard[-1] == text
    await happens(lambda: ended)


async def test_program_serves_standard_input(tmp_path: Path) -> None:
    environment = {"KANI_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": str(ROOT)}
    program = StdioServerParameters(
        command=sys.executable, args=["-m", "kani", "mcp", "--engine", "espeak"], env=environment
    )
    async with Client(program, list_roots_callback=roots_of(tmp_path)) as client:
        text = said(await client.call_tool("speak", {"text": "Hola.", "file": "hola.mp3"}))
    assert "espeak:es" in text and (tmp_path / "hola.mp3").stat().st_size > 500


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["--http", "--host", "0.0.0.0"], "other machines need a key"),
        (["--http", "70000"], "65535"),
        (["--engine", "nobody"], "nobody"),
        (["--recognizer", "nobody"], "nobody"),
        (["--folder", "."], "--folder: only with --http"),
        (["--http", "--folder", "nowhere"], "nowhere: is no folder"),
    ],
)
def test_wrong_options_end_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: list[str], reason: str
) -> None:
    monkeypatch.delenv("KANI_API_KEYS", raising=False)
    with suppress(SystemExit):
        assert command.main(given) == 2
    assert reason in capsys.readouterr().err


def test_a_key_that_everybody_knows_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KANI_API_KEYS", "public_token")
    with suppress(SystemExit):
        assert command.main(["--http"]) == 2
    assert "no key but public_token" in capsys.readouterr().err
