"""The command ``kani-tts``, which is also ``python -m kani``.

Every Python from 3.8 on can import this module, so that it can say which one is needed.
"""

import difflib
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
  align FILE TEXT    find the words of a text in a recording
  voices             list the voices
  fetch              download, verify and prepare the model files that are needed
  check              test a running server
  worker ADDRESS     serve an engine to servers on other machines
  mcp                tools for coding agents: speak, listen, transcribe

{COMMAND} COMMAND --help lists the options of a command."""

OTHERS_WORDS = {
    "say": "speak tts read synthesize synth talk",
    "listen": "transcribe stt recognize recognise hear asr",
    "align": "forced-alignment aligned sync subtitles words",
    "serve": "start run server up",
    "voices": "list list-voices ls",
    "fetch": "download pull install update setup",
    "check": "test doctor diagnose status health",
}
"""Names that other programs give to each command."""

COMMANDS = ("serve", "say", "listen", "align", "voices", "fetch", "check", "worker", "mcp")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code: 0 done, 1 failed, 2 usage, 130 interrupted."""
    with broken_pipe.tolerated():
        return _main(list(sys.argv[1:] if arguments is None else arguments))


def _main(given: list[str]) -> int:
    if not given or given[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    command, *rest = given
    if command in ("--version", "-V", "version"):
        print("kani-tts", VERSION)
        return 0
    if command == "help":
        return _main([*rest[:1], "--help"])
    if command not in COMMANDS:
        shown = " ".join(command[:80].split())
        print(
            f"{COMMAND}: {shown!r} is no command; {_hint(command)}{COMMAND} --help lists them",
            file=sys.stderr,
        )
        return 2
    with prerequisites.reported("__main__", f"{COMMAND} {command}", prerequisites.REQUIREMENTS):
        return _run(command, rest)


def _hint(command: str) -> str:
    """Return what was most likely meant by a word that is no command."""
    word = command.lower()
    if word.startswith("-"):
        return f"options follow a command, as in {COMMAND} serve {command[:80]}; "
    words = {other: name for name, others in OTHERS_WORDS.items() for other in others.split()}
    words |= {name: name for name in COMMANDS}
    near = ["say"] if " " in word or "." in word else difflib.get_close_matches(word, words, 1, 0.6)
    return f"did you mean {COMMAND} {words[near[0]]}? " if near else ""


def _run(command: str, given: list[str]) -> int:
    if command == "check":
        from kani.cli import check

        return check.main(given)
    if command == "mcp":
        from kani.cli.mcp import command as mcp

        return mcp.main(given)
    if command in ("say", "listen", "align", "voices"):
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
