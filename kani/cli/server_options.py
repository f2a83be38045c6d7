"""Options of the server's command line: those of every server, and those of its plugins' settings."""

import argparse
import re
from contextlib import suppress

from kani.cli.parser import Parser
from kani.cli.programs import SERVER, SPEAK
from kani.composition import settings
from websocket_config import VERSION, WEBSOCKET_HOST, WEBSOCKET_PORT

WORKER, RECOGNIZER_WORKER = "--worker", "--recognizer-worker"

Groups = dict[str, argparse._ArgumentGroup]

_LINK = re.compile(r"\[([^\]]*)\]\(([^)#]*)[^)]*\)")
DESCRIPTION = "Speech over WebSocket: clients send text and receive speech."
EPILOG = f"""\
Every setting is also an environment variable or a line in .env, and there are
more of them than here: see docs/settings.md. Then, in another terminal:
  {SPEAK} "Hola" -o hola.wav"""


def _extra(word: str) -> str:
    """Return what to do about a word that is no option: it may be the value of one."""
    if word.isdigit():
        return f"did you mean --port {word}?"
    if word.lower() in settings.accepted_values("engine").replace(",", "").split():
        return f"did you mean --engine {word}?"
    return f"did you mean --host {word}?" if "." in word or word == "localhost" else ""


def _elsewhere() -> dict[str, str]:
    """Return what has no option, with its variable; of a key no command line tells other users."""
    keys = dict.fromkeys(("--key", "--api-key", "--token", "--auth"), "KANI_API_KEYS sets it")
    return keys | {name: f"{variable} sets it" for name, variable in settings.option_variables().items()}


def parser(program: str = SERVER) -> Parser:
    """Return the parser; an option that is a setting has the setting's name and default."""
    options = Parser(
        prog=program,
        usage="%(prog)s [OPTION ...]",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
        argument_default=argparse.SUPPRESS,
        extra=_extra,
        elsewhere=_elsewhere,
    )
    address = options.add_argument_group("where it listens")
    address.add_argument("--host", metavar="ADDRESS", help=f"address to listen on (default {WEBSOCKET_HOST})")
    address.add_argument("--port", metavar="PORT", help=f"port, 0 for a free one (default {WEBSOCKET_PORT})")
    address.add_argument(
        "--fronts", metavar="N", help="serve with N processes as one server (docs/scale.md); auto: one a core"
    )
    address.add_argument(
        "--compat",
        action="store_true",
        help="listen also where clients of other servers look (8000, 8080, 8081, 8092, 9300, 9301, 10300)",
    )
    address.add_argument(
        "--wyoming",
        action="store_true",
        help="open port 10300 for Home Assistant; it asks for no key, so only for private addresses",
    )
    address.add_argument("--tls-cert", metavar="FILE", help="certificate (PEM): serve https and wss")
    address.add_argument("--tls-key", metavar="FILE", help="its private key (PEM)")
    address.add_argument(
        "--no-auth",
        action="store_true",
        help="require no key, even on an address that other machines can reach",
    )
    speech = options.add_argument_group("engines and voices")
    speech.add_argument(
        "--engine", metavar="NAME", help=f"{settings.accepted_values('engine')} (default auto)"
    )
    speech.add_argument(
        "--model", metavar="NAME", help="its model: a folder, or a name such as OWNER/NAME (docs/settings.md)"
    )
    speech.add_argument("--engine-voices", metavar="FOLDER", help="further voices of it (docs/settings.md)")
    speech.add_argument(
        "--pythons",
        metavar="NAME=PYTHON",
        help="pythons with the packages of pocket, voxcpm, kyutai and transcribe, separated by commas "
        "(not set: those that --fetch makes)",
    )
    speech.add_argument(
        "--engine-process",
        action="store_true",
        help="run each local engine in a process of its own, started again when it crashes",
    )
    speech.add_argument("--voice", metavar="ID", help="default voice of its language, such as ef_dora")
    speech.add_argument(
        "--language",
        metavar="TAG",
        help="language of a text that tells no other, from a client that tells none (not set: Spanish for "
        "Kani's messages, English for all other protocols)",
    )
    speech.add_argument(
        "--recognizer",
        metavar="NAME",
        help=f"speech recognition: {settings.accepted_values('recognizer')} (default auto)",
    )
    speech.add_argument("--recognizer-model", metavar="NAME", help="its model, as for --model")
    speech.add_argument(
        "--llm",
        "--llm-url",
        dest="llm_url",
        metavar="URL",
        help="chat endpoint that answers what is said, such as http://localhost:11434/v1 (Ollama)",
    )
    speech.add_argument("--llm-model", metavar="NAME", help="its model (default: the only one that it has)")
    groups = _add_settings(options, {settings.SPEECH: speech})
    kani = groups[settings.KANI]
    kani.add_argument("--device", metavar="NAME", help="auto, cpu, cuda or cuda:N (default auto)")
    kani.add_argument(
        "--precision", metavar="NAME", help=f"{settings.accepted_values('precision')} (default auto)"
    )
    files = options.add_argument_group("model files")
    files.add_argument("--no-fetch", action="store_true", help="download no missing file")
    log = options.add_argument_group("log")
    log.add_argument("--log-level", metavar="LEVEL", help="DEBUG, INFO, WARNING or ERROR (default INFO)")
    log.add_argument(
        "--log-json",
        dest="log_format",
        action="store_const",
        const="json",
        help="log JSON objects, one a line",
    )
    other = options.add_argument_group("instead of serving")
    other.add_argument(
        "--fetch",
        action="store_true",
        help="download, verify and prepare the model files that are needed, and end",
    )
    worker = other.add_mutually_exclusive_group()
    worker.add_argument(
        WORKER,
        metavar="ADDRESS",
        help="serve --engine to servers with --engine remote; unix:/path, or tcp://host:port with "
        "KANI_ENGINE_KEY",
    )
    worker.add_argument(
        RECOGNIZER_WORKER,
        metavar="ADDRESS",
        help="serve KANI_RECOGNIZER to servers with KANI_RECOGNIZER=remote; an address as for --worker",
    )
    other.add_argument("--version", action="version", version=f"kani-tts {VERSION}", help="print it, and end")
    other.add_argument("-h", "--help", action="help", help="print this, and end")
    return options


def _add_settings(options: argparse.ArgumentParser, groups: Groups) -> Groups:
    """Add an option for each setting of a plugin, below the heading that the plugin chose.

    groups: those that there are already, by the headings of docs/settings.md; returned with the new ones.
    """
    of_plugins = settings.plugin_fields().keys()
    for name, field in settings.fields().items():
        if name not in of_plugins or not settings.field_metadata(field)["option"]:
            continue
        heading = settings.field_metadata(field)["group"]
        if heading not in groups:
            groups[heading] = options.add_argument_group(heading)
        option, about = "--" + name.replace("_", "-"), f"{field.description}"
        # A name that is an option of the server already: the setting has only its variable.
        with suppress(argparse.ArgumentError):
            if field.default is False:
                groups[heading].add_argument(option, action="store_true", help=_literal(about))
            else:
                accepted = "Accepts " + settings.accepted_values(name) + _default(field.default)
                groups[heading].add_argument(option, metavar="VALUE", help=_literal(f"{about} {accepted}"))
    return groups


def _default(value: object) -> str:
    return f" (default {value})" if isinstance(value, str | int | float) and value != "" else ""


def _literal(text: str) -> str:
    """Return a description in Markdown as plain text, which argparse shows as it is."""
    return _LINK.sub(r"\1 (docs/\2)", text).replace("`", "").replace("%", "%%")
