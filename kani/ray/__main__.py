"""The command line: python -m kani.ray up | status | down."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import fields

# Before Ray is imported: it reports nothing, and its start on a busy machine takes longer than it allows.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ.setdefault("RAY_agent_register_timeout_ms", "240000")
if "--local" in sys.argv or os.environ.get("RAY_ADDRESS", "").startswith("127."):
    # Ray replaces 127.0.0.1 by the machine's own address, unless it is to have no other nodes.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"

import ray
from ray import serve

from kani.composition import settings
from kani.ray import application
from kani.runtime.host_names import is_loopback

CANNOT_START, USAGE = 1, 2

OPTIONS = [field for field in fields(application.Plan) if field.metadata]
"""Fields of a plan that the command line gives; each knows its option."""

ENGINES = "kokoro, kani, espeak, pocket, voxcpm or kyutai"


def parser() -> argparse.ArgumentParser:
    """Return the parser."""
    options = argparse.ArgumentParser(
        prog="python -m kani.ray",
        description="Servers and engine workers on Ray Serve (docs/scale.md). Every other setting is an "
        "environment variable, as for start_websocket_server.py; the cluster's actors get those of this "
        "command.",
        allow_abbrev=False,
    )
    commands = options.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="deploy, or update what is deployed", allow_abbrev=False)
    up.add_argument("--engine", required=True, metavar="NAME", help=ENGINES)
    up.add_argument("--host", metavar="ADDRESS", help="address on which the servers listen")
    up.add_argument(
        "--port", metavar="PORT", help="port of the first server of a node; the next has the next"
    )
    for option in OPTIONS:
        up.add_argument(option.metadata["option"], dest=option.name, **option.metadata["parsing"])
    up.add_argument(
        "--local", action="store_true", help="start a cluster for this command, even beside another"
    )
    commands.add_parser("status", help="print the state of what is deployed")
    commands.add_parser("down", help="end what is deployed; Ray itself goes on")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code: 0 done, 1 cannot start, 2 usage."""
    given = parser().parse_args(arguments)
    if given.command != "up":
        return _with_cluster(given.command)
    environment = {
        variable: value
        for variable, value in (("KANI_HOST", given.host), ("KANI_PORT", given.port))
        if value is not None
    }
    try:
        chosen = settings.load(
            {"engine": given.engine}, {**os.environ, **environment}, names={"engine": "--engine"}
        )
    except settings.SettingsError as error:
        return _complain(str(error), USAGE)
    if chosen.engine in ("auto", "remote", "elevenlabs"):
        return _complain(f"--engine: a replica serves one engine: {ENGINES}", USAGE)
    if given.recognizers and chosen.recognizer in ("none", "remote"):
        return _complain("--recognizer-replicas: set KANI_RECOGNIZER=whisper, transcribe or kyutai", USAGE)
    if not (chosen.no_auth or chosen.api_keys or is_loopback(chosen.host)):
        return _complain(
            f"{chosen.host} can be reached from other machines, and no key is set: set KANI_API_KEYS, or "
            "require no key with KANI_NO_AUTH=1",
            CANNOT_START,
        )
    try:
        plan = application.Plan(
            engine=chosen.engine,
            **{option.name: getattr(given, option.name) for option in OPTIONS},
            shutdown_s=chosen.shutdown_seconds,
            environment=environment,
        )
    except ValueError as error:
        return _complain(str(error), USAGE)
    return _up(plan, own=given.local)


def _up(plan: application.Plan, *, own: bool) -> int:
    if not own and not _join():
        if os.environ.get("RAY_ADDRESS"):
            return _complain("RAY_ADDRESS cannot be reached, or its token is another one", CANNOT_START)
        # In a new process: Ray reads the variable for it when it is imported.
        os.execv(  # noqa: S606 - our own code
            sys.executable, [sys.executable, "-m", "kani.ray", *sys.argv[1:], "--local"]
        )
    if own:
        print("a Ray cluster is started on 127.0.0.1, for this command", flush=True)
        application.connect(local=True)
        print(f"  ray      RAY_ADDRESS={ray.get_runtime_context().gcs_address}", flush=True)
    try:
        application.deploy(plan)
    except RuntimeError as error:
        return _complain(f"{error}; see: python -m kani.ray status", CANNOT_START)
    _print_fronts()
    if own:
        print("  stop     Ctrl+C", flush=True)
        _wait_for_signal()
        serve.delete(application.NAME)
        ray.shutdown()
    return 0


def _wait_for_signal() -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()


def _with_cluster(command: str) -> int:
    if not _join():
        return _complain("there is no Ray cluster on this machine (ray start, or RAY_ADDRESS)", CANNOT_START)
    found = serve.status().applications.get(application.NAME)
    if found is None:
        print("nothing is deployed")
        return 0
    if command == "down":
        serve.delete(application.NAME)
        return 0
    print(f"{found.status.value.lower()} {found.message}".rstrip())
    for name, deployment in found.deployments.items():
        states = ", ".join(f"{count} {state.lower()}" for state, count in deployment.replica_states.items())
        print(f"  {name:<8} {deployment.status.value.lower()}: {states} {deployment.message}".rstrip())
    _print_fronts()
    return 0


def _print_fronts() -> None:
    addresses = application.addresses()
    for address in addresses:
        print(f"  front    {address}", flush=True)
    if not addresses:
        print("  no front answers", flush=True)


def _join() -> bool:
    """Connect to the cluster of this machine, or of RAY_ADDRESS; return False if there is none."""
    try:
        application.connect(local=False)
    except ConnectionError:
        return False
    return True


def _complain(sentence: str, code: int) -> int:
    print(f"python -m kani.ray: {sentence}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
