"""The arrows of the design: who may import whom."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = {path.stem for path in ROOT.glob("*.py")} | {
    path.name for path in ROOT.iterdir() if path.is_dir() and any(path.glob("*.py"))
}

WEB = set("starlette uvicorn websockets httpx httpcore aiohttp fastapi socket http urllib".split())
MODELS = {"torch", "transformers", "onnxruntime", "onnx"}

ALLOWED_OF_OURS = {
    "speech": {"speech"},
    "kani": {"kani", "no_telemetry"},
    "engines": {"engines", "speech", "kani", "no_telemetry"},
    "no_telemetry.py": set(),
    "protocols": {"protocols", "speech"},
    "server": {"server", "speech", "websocket_config"},
    "client": {"client", "websocket_client", "websocket_config"},
    "websocket_config.py": set(),
    "websocket_client.py": {"websocket_config"},
}
"""What each place may import of this repository; a place that isn't named may import anything."""


def imports(path: Path) -> Iterator[str]:
    """The full names of all that a module imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules(place: str) -> list[Path]:
    """The modules of a folder, or the one of that name."""
    path = ROOT / place
    return sorted(path.rglob("*.py")) if path.is_dir() else [path] if path.exists() else []


def top(name: str) -> str:
    """The package a name belongs to."""
    return name.partition(".")[0]


@pytest.mark.parametrize("place", ALLOWED_OF_OURS)
def test_imports_of_ours_follow_the_arrows(place: str) -> None:
    """Nothing imports against an arrow of the design."""
    for path in modules(place):
        forbidden = {name for name in imports(path) if top(name) in OURS} - {
            name for name in imports(path) if top(name) in ALLOWED_OF_OURS[place]
        }
        assert not forbidden, f"{path.relative_to(ROOT)} imports {forbidden}"


def test_the_core_knows_no_socket_and_no_model() -> None:
    """speech/ imports neither a web library nor one that runs models."""
    for path in modules("speech"):
        forbidden = {name for name in imports(path) if top(name) in WEB | MODELS}
        assert not forbidden, f"{path.relative_to(ROOT)} imports {forbidden}"


def test_protocols_import_no_engine_and_no_other_protocol() -> None:
    """A protocol imports, of protocols/, only its own package and ``shared``."""
    for path in modules("protocols"):
        place = path.relative_to(ROOT / "protocols").parts[0].removesuffix(".py")
        for name in imports(path):
            if top(name) == "protocols":
                assert name.split(".")[1] in (place, "shared"), f"{path.relative_to(ROOT)} imports {name}"
            assert top(name) not in MODELS


def test_the_client_can_be_copied_into_an_assistant() -> None:
    """websocket_client.py needs websockets, websocket_config and the standard library alone."""
    allowed = set(sys.stdlib_module_names) | {"websockets", "websocket_config"}
    assert {top(name) for name in imports(ROOT / "websocket_client.py")} <= allowed
    assert {top(name) for name in imports(ROOT / "websocket_config.py")} <= set(sys.stdlib_module_names)
