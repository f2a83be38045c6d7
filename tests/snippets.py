"""The code blocks of the documents, and stand-ins for the programs that a shell block calls.

A block that no test runs has a comment directly before it: ``<!-- not run: WHY -->``.
"""

import os
import re
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from kani.cli import main, server_options
from kani.composition import settings
from tests.support.programs import ran

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    *("README.md", "WEBSOCKET_README.md", "examples/README.md"),
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")),
)
BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^>]+) -->\n)?^ *```(?P<language>\w+)\n(?P<code>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
REAL = ("websocket_client.py", "curl ", "examples/", "openssl req", "jq ")
"""What a shell block does for real, with a server: the rest is only recorded and checked."""

RUNNER = """
import ast, asyncio, inspect, json, sys
# One process for all: the clients' packages take long to import.
for name, program in json.load(sys.stdin).items():
    asyncio.set_event_loop(asyncio.new_event_loop())  # livekit's sessions ask for one
    code = compile(program, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    outcome = eval(code, {"__name__": "snippet"})
    if inspect.iscoroutine(outcome):
        asyncio.run(outcome)
"""
"""Runs Python that awaits at top level, by name in a JSON object, as ``python -m asyncio`` does."""

FIELD, PART, CALL = "\x1f", "\x1e", "\x1d"

STUB = f"""#!/bin/bash
# A program of the documents: code, and what talks to a server, runs; the rest is recorded.
case "$1" in
  -c) exec "$REAL_PYTHON" "$@" ;;
  websocket_client.py) server="$SERVER" ;;
  examples/elevenlabs_*) server="${{SERVER/ws:/http:}}" ;;
  examples/livekit_agent.py) server= ;;
  examples/*) [ $# -gt 1 ] && server="$SERVER" ;;
esac
if [ -n "$server" ]; then
  arguments=()
  for argument in "${{@:2}}"; do
    if [ "$argument" = --play ]; then arguments+=(-o played.wav); else arguments+=("$argument"); fi
  done
  exec "$REAL_PYTHON" "$REPOSITORY/$1" --server "$server" "${{arguments[@]}}"
fi
{{
  printf '%s{FIELD}' "${{0##*/}}" "$@"
  printf '{PART}'
  env -0 | grep -z -E '^(KANI|ELEVEN|LIVEKIT)_' | tr '\\0' '{FIELD}'
  printf '{CALL}'
}} >> "$RECORD"
"""
PROGRAMS = ("python", "python3", "pip", "kani-tts", "ruff", "mypy", "uv")


class Snippet(NamedTuple):
    """A code block; ``reason`` says why no test runs it."""

    page: str
    number: int
    language: str
    code: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.page}-{self.number}"


class Call(NamedTuple):
    """A program that a shell block would have run."""

    program: str
    arguments: list[str]
    environment: Mapping[str, str]


def snippets(*languages: str) -> list[Snippet]:
    """Return the code blocks in any of these languages."""
    found = []
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for number, block in enumerate(BLOCK.finditer(text), 1):
            if block["language"] in languages:
                found.append(Snippet(page, number, block["language"], block["code"], block["reason"]))
    return found


def run_shell(code: str, folder: Path, server: str = "ws://localhost:1") -> list[Call]:
    """Run a shell block in a folder; return the programs that it would have run besides.

    server: the WebSocket address of the one that takes the place of ``localhost:8001``.
    """
    programs, record = folder / "programs", folder / "record"
    judges = folder.parent / "judges" / "bin"
    voxcpm, moshi = folder / "voxcpm" / "bin", folder / "moshi" / "bin"
    for path in (programs, judges, voxcpm, moshi, folder / ".venv" / "bin"):
        path.mkdir(parents=True, exist_ok=True)
    for stub in [*(programs / name for name in PROGRAMS), judges / "python", voxcpm / "pip", moshi / "pip"]:
        stub.write_text(STUB, encoding="utf-8")
        stub.chmod(0o755)
    (folder / ".venv" / "bin" / "activate").touch()
    (folder / ".curlrc").write_text("silent\nshow-error\nfail-with-body\n", encoding="utf-8")
    (folder / "requirements.txt").write_bytes((ROOT / "requirements.txt").read_bytes())
    record.write_text("", encoding="utf-8")
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("KANI_", "ELEVEN_"))}
    own = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(folder),
        "REAL_PYTHON": sys.executable,
        "REPOSITORY": str(ROOT),
        "PYTHONPATH": str(ROOT),
        "SERVER": server,
        "RECORD": str(record),
    }
    script = code.replace("localhost:8001", server.partition("//")[2])
    done = ran("bash", "-e", "-o", "pipefail", "-c", script, cwd=folder, env=outside | own)
    assert "Traceback" not in done.stderr
    calls = []
    for line in record.read_text(encoding="utf-8").split(CALL)[:-1]:
        command, environment = line.split(PART)
        program, *arguments = command.split(FIELD)[:-1]
        pairs = (pair.partition("=") for pair in environment.split(FIELD) if pair)
        calls.append(Call(program, arguments, {name: value for name, _, value in pairs}))
    return calls


def check(call: Call) -> None:
    """Assert that a recorded program would accept its options: files are there, settings are valid."""
    match call:
        case ("python" | "python3", ["start_websocket_server.py", *options], environment):
            check_server(options, environment)
        case ("python", ["-m", "kani", *command], _) | ("kani-tts", [*command], _):
            assert command[0] in main.COMMANDS
        case ("python", ["-m", "kani.ray", *options], _):
            # Its parser's module imports Ray, for seconds.
            modules = (ROOT / "kani" / "ray" / name for name in ("__main__.py", "application.py"))
            source = "".join(module.read_text(encoding="utf-8") for module in modules)
            assert all(f'"{option}"' in source for option in options if option.startswith("--"))
        case ("python", ["-m", "pytest", *options], _):
            assert all((ROOT / option).exists() for option in options if "/" in option)
        case ("python", ["-m", module, *_], _) if module.startswith(("benchmarks.", "tools.")):
            file = ROOT / module.replace(".", "/")
            assert file.with_suffix(".py").exists() or (file / "__main__.py").exists()
        case ("pip" | "uv", options, _):
            files = [
                after
                for option, after in pairwise(options)
                if option in ("-r", "--with-requirements") and after != "rest.txt"
            ]
            assert all((ROOT / file).exists() for file in files)
        case ("python" | "python3", [script, *_], _):
            modules = ("venv", "http.server", "mkdocs")
            assert (ROOT / script).exists() or (script == "-m" and call.arguments[1] in modules), call
        case (program, _, _):
            assert program in ("ruff", "mypy"), call


def check_server(options: list[str], environment: Mapping[str, str]) -> None:
    """Assert that the server accepts options and variables; "…" stands for a secret."""
    given = vars(server_options.parser().parse_args(options))
    known = {name: value for name, value in given.items() if name in settings.fields()}
    secret = {name: value.replace("…", "x" * 32) for name, value in environment.items()}
    settings.load(known, secret, Path("no file"))
