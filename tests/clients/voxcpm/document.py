"""The document's two clients, as it writes them (``document.md``), and what their users have to supply."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients.voxcpm.wire import read_frame
from tests.support.programs import node

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


async def speak_in_node(url: str, text: str, folder: Path) -> Heard:
    script, output = folder / "client.js", folder / "audio.pcm"
    script.write_text(javascript_class(), encoding="utf-8")
    told = await asyncio.to_thread(node, HERE / "run_document.mjs", script, url, text, output)
    return Heard(**told, pcm=output.read_bytes())
