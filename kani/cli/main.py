"""The command ``kani-tts``, which is also ``python -m kani``.

Every Python from 3.8 on can import this module, so that it can say which one is needed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from kani.cli import broken_pipe, prerequisites
from kani.cli.programs import COMMAND
from websocket_config import VERSION

USAGE = f"""\
usage: {COMMAND} COMMAND ...

  serve              run the server
  say TEXT           speak a text, aloud or to a file
  listen FILE        transcribe a recording
  voices             list the voices
  fetch              download, verify and prepare the model files that are needed
  check              test a running server
  worker ADDRESS     serve an engine to servers on other machines
  mcp                tools for coding agents: speak, listen, transcribe

{COMMAND} COMMAND --help lists the options of a command."""

COMMANDS = ("serve", "say", "listen", "voices", "fetch", "check", "worker", "mcp")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code: 0 done, 1 failed, 2 usage, 130 interrupted."""
    with broken_pipe.tolerated():
        return _main(list(sys.argv[1:] if arguments is None else arguments))


def _main(given: list[str]) -> int:
    if not given or given[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    command, *rest = given
    if command == "--version":
        print("kani-tts", VERSION)
        return 0
    if command not in COMMANDS:
        print(f"{COMMAND}: {command!r} is no command; {COMMAND} --help lists them", file=sys.stderr)
        return 2
    with prerequisites.reported("__main__", f"{COMMAND} {command}", prerequisites.REQUIREMENTS):
        return _run(command, rest)


def _run(command: str, given: list[str]) -> int:
    if command == "check":
        from kani.cli import check

        return check.main(given)
    if command == "mcp":
        from kani.cli.mcp import command as mcp

        return mcp.main(given)
    if command in ("say", "listen", "voices"):
        from kani.cli import speech_commands

        return speech_commands.main(command, given)
    from kani.cli import serve

    before = {"fetch": ["--fetch"], "worker": ["--worker"]}.get(command, [])
    if {"-h", "--help"} & {*given}:
        before = []
    elif command == "worker" and (not given or given[0].startswith("-")):
        print(f"{COMMAND} worker: it needs an ADDRESS first: unix:/path or tcp://host:port", file=sys.stderr)
        return 2
    return serve.main([*before, *given], f"{COMMAND} {command}")
