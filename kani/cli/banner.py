"""Lines that the terminal shows when the server is ready: addresses, engines, voices, a command to try."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kani.cli.programs import PACKAGED, SPEAK
from kani.runtime.host_names import is_loopback
from websocket_config import VERSION, WEBSOCKET_HOST, WEBSOCKET_PORT

if TYPE_CHECKING:
    from kani.core.recognizer import RecognizerInfo
    from kani.server.lifecycle import RunningServer

EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - recognised here, not bound


def banner(running: RunningServer, log_file: Path | None = None) -> str:
    """Return the lines; log_file: the server's log, which is named if there is one."""
    service = running.service
    everywhere = running.host in EVERY_ADDRESS
    host = "localhost" if everywhere else f"[{running.host}]" if ":" in running.host else running.host
    secure = "s" if running.tls else ""
    address = f"ws{secure}://{host}:{running.listeners.port}"
    usual = address == f"ws://{WEBSOCKET_HOST}:{WEBSOCKET_PORT}"
    elsewhere = "" if usual and not PACKAGED else f" --server {address}"
    key = " --api-key KEY" if running.needs_key else ""
    by_engine: dict[str, list[str]] = {}
    for language, name in service.catalogue.languages.items():
        by_engine.setdefault(name, []).append(language)
    reach = ", on every address of this machine" if everywhere else ""
    lines = [
        f"kani-tts {VERSION} is ready",
        f"  address  {address}{reach}",
        f"  page     http{secure}://{host}:{running.listeners.port}/",
    ]
    lines += [
        f"  also     {door.scheme}{secure}://{host}:{port} ({door.protocol})"
        for door, port in running.listeners.compat.items()
    ]
    lines += _stream_lines(running, host)
    for engine in service.engines:
        accented = sorted(set(by_engine.get(engine.name, [])) & service.catalogue.accented)
        spoken = sorted(set(by_engine.get(engine.name, [])).difference(accented))
        listed = " ".join(spoken) if len(spoken) <= 12 else f"{len(spoken)} languages"
        lines.append(f"  speaks   {listed} ({engine.name} {engine.version})")
        if accented:
            lines.append(
                f"  accented {' '.join(accented)} ({engine.name}; KANI_ACCENTED_LANGUAGES=none for espeak-ng)"
            )
        if engine.voice_rules.networks:
            named = " ".join(f"{language}={name}" for language, name in engine.voice_rules.networks.items())
            lines.append(f"  models   {named}")
        if engine.light is not None:
            named = " ".join(engine.light.languages)
            lines.append(f"  light    a small, fast network speaks {named} {engine.light.when}")
    if service.late_engine is not None:
        lines.append(
            f"  loading  {service.late_engine.name}, used once it has started (see the log, or /health)"
        )
    if service.recognition.recognizer is not None:
        lines.append(f"  hears    {_heard(service.recognition.recognizer.info)}")
    if service.chat_model is not None:
        lines.append(f"  answers  {service.chat_model.description}")
    lines += [
        f"  voices   {len(service.catalogue.list())}",
        *(f"  saves    {each}" for each in running.saves),
        *([f"  log      {log_file.absolute()}"] if log_file is not None and log_file.is_file() else []),
        f'  try      {SPEAK} "Hola" -o hola.wav{elsewhere}{key}',
        *(["           KEY is one of KANI_API_KEYS"] if running.needs_key else []),
        "  stop     Ctrl+C",
    ]
    return "\n".join(lines)


def _heard(info: RecognizerInfo) -> str:
    """Return the languages that the recogniser understands, or what it lacks."""
    if info.unavailable_reason:
        return f"nothing: {info.unavailable_reason}"
    few = len(info.languages) <= 12
    heard = " ".join(sorted(info.languages)) if few else f"{len(info.languages)} languages"
    said = f"{heard} ({info.name} {info.version})"
    if info.recordings_only:
        return f"{said}; only recordings: {info.recordings_only}"
    return said if info.live_delay_s is None else f"{said}; words after about {info.live_delay_s:.1f} s"


def _stream_lines(running: RunningServer, host: str) -> list[str]:
    """Return a line for each port without HTTP, and one for the clients that need no key there."""
    lines = []
    for stream, networks in running.allowed.items():
        port = running.listeners.addresses(stream)[0][1]
        lines.append(f"  {stream.name.lower():<8} tcp://{host}:{port}")
        if not is_loopback(running.host):
            lines.append(f"           asks for no key; serves {' '.join(networks)}")
    return lines
