"""The document's two clients, as it writes them (``document.md``), and what their users have to supply."""

import asyncio
import importlib.util
import json
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kani.core.types import Samples
from tests.clients.voxcpm.wire import read_frame

HERE = Path(__file__).parent


def code(language: str) -> str:
    return (HERE / "document.md").read_text(encoding="utf-8").split(f"```{language}\n")[1].split("```")[0]


def javascript_class() -> str:
    """The class of the JavaScript example, without the lines that show its use."""
    return code("javascript").split("// Usage")[0]


def python_client() -> Callable[..., Awaitable[bytes]]:
    """The function of the Python example, with the ``parse_binary_frame`` that it leaves to its user."""
    names: dict[str, Any] = {"parse_binary_frame": lambda data: [read_frame(data).pcm]}
    exec(compile(code("python").split("# Run")[0], "document.md", "exec"), names)
    return names["voxcpm_tts"]


@dataclass(frozen=True)
class Heard:
    sequences: list[int]
    shares: list[float]
    rate: int
    pcm: bytes

    @property
    def samples(self) -> Samples:
        return np.frombuffer(self.pcm, "<i2").astype(np.float32) / 32768


async def node() -> list[str]:
    """The command of a node that has WebSocket, playwright's own or the system's; or nothing."""
    candidates = [shutil.which("node")]
    if importlib.util.find_spec("playwright") is not None:
        from playwright._impl._driver import compute_driver_executable

        candidates.insert(0, str(compute_driver_executable()[0]))
    for path in filter(None, candidates):
        for command in ([path], [path, "--experimental-websocket"]):
            asked = await asyncio.create_subprocess_exec(
                *command, "-p", "typeof WebSocket", stdout=-1, stderr=asyncio.subprocess.DEVNULL
            )
            if (await asked.communicate())[0].strip() == b"function":
                return command
    return []


async def speak_in_node(command: list[str], url: str, text: str, folder: Path) -> Heard:
    script, output = folder / "client.js", folder / "audio.pcm"
    script.write_text(javascript_class(), encoding="utf-8")
    running = await asyncio.create_subprocess_exec(
        *command, str(HERE / "run_document.mjs"), str(script), url, text, str(output), stdout=-1, stderr=-1
    )
    told, complaint = await asyncio.wait_for(running.communicate(), 300)
    assert running.returncode == 0, complaint.decode()
    return Heard(**json.loads(told), pcm=output.read_bytes())
