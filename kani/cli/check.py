"""Diagnostics of a running server: connection, speech, streaming, refusals, voices, and their times.

    python test_websocket.py [--server ws://localhost:8001] [--api-key KEY] [--keep DIR]

It starts no server. Exit codes: 0 all passed, 1 a check failed, 2 no server at the address,
130 interrupted.
"""

from kani.cli import prerequisites
from kani.cli.programs import CHECK

with prerequisites.reported(__name__, CHECK, "websockets"):
    import argparse
    import array
    import asyncio
    import contextlib
    import json
    import math
    import secrets
    import sys
    import time
    from collections.abc import AsyncGenerator, Callable, Sequence
    from dataclasses import dataclass, replace
    from pathlib import Path
    from typing import Any

    from websockets.exceptions import ConnectionClosed

    from kani.cli import broken_pipe, interrupt
    from kani.cli.client import add_server_options, find_server, named_remedy
    from kani.cli.parser import Parser, extra_word
    from kani.cli.sound import CommandFailed, WavOutput, read_wav
    from kani.cli.voices import VoiceRefused, VoicesClient, cloning_outcome
    from websocket_client import AuthenticationFailed, KaniTTSClient, KaniTTSError, NotConnected
    from websocket_config import AUDIO_FORMAT, DEFAULT_CONFIG, ERROR_MESSAGES, SUPPORTED_EMOTIONS

SPANISH = (
    ("friendly", 1.0, "¡Hola! ¿Cómo estás hoy?"),
    ("professional", 1.1, "Buenos días, espero que su jornada vaya muy bien."),
    ("excited", 1.2, "¿Puedes ayudarme con una pregunta sobre el viaje?"),
    ("calm", 1.3, "Gracias por confiar en nosotros, hasta la próxima semana."),
)
LONG = (
    "Este texto es bastante más largo que los anteriores, para ver cómo llega el sonido mientras se habla. "
    "Quien escucha no debería esperar al final: la primera frase suena cuando la última aún no existe. "
    "Así una conversación parece natural, porque la respuesta empieza enseguida y continúa sin cortes."
)
LANGUAGES = {
    "english": "Good morning, the train to the coast leaves at noon.",
    "french": "Bonjour, le train pour la côte part à midi.",
    "german": "Guten Morgen, der Zug an die Küste fährt mittags ab.",
    "italian": "Buongiorno, il treno per la costa parte a mezzogiorno.",
    "portuguese": "Bom dia, o trem para o litoral sai ao meio-dia.",
}
NUMBERS_SENTENCE = "El tren 21 sale a las 19:30 y cuesta 1.250,50 €."
BLEND = "happy:0.5,calm:0.5"
LENGTHS = (0.8, 1.3)
TOLERANCE = 0.02
MACHINE = "A machine's voice, which needs no consent; it is deleted at once."
# Statuses that refuse this voice; others mean that the server stores no voices at present.
FAULTS = (400, 409, 413, 500)
# Plausible rates of speech at speed 1 (characters a second), and the time that pauses may add.
SLOWEST, FASTEST, PAUSES_S = 5.0, 30.0, 1.5
SILENT_BELOW = 0.003
ROUNDING_S = 0.002


@dataclass(frozen=True)
class Result:
    """One line of the report; times in seconds, None where the check measures none.

    failure: the fault, empty if there is none; skipped: why the check could not run.
    """

    name: str
    failure: str = ""
    first_audio: float | None = None
    total: float | None = None
    speech: float | None = None
    note: str = ""
    skipped: str = ""


Check = Callable[[KaniTTSClient, Path | None], AsyncGenerator[Result, None]]


def find_fault(pcm: bytes, rate: int, stated: float, text: str, speed: float) -> str:
    """Describe what is wrong with the speech of a text; empty if nothing is."""
    samples = array.array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    seconds = len(samples) / rate
    loudness = math.sqrt(sum(x * x for x in samples) / max(1, len(samples))) / 32768
    shortest, longest = len(text) / FASTEST / speed, (len(text) / SLOWEST + PAUSES_S) / speed
    if rate != AUDIO_FORMAT["sample_rate"]:
        return f"{rate} Hz instead of {AUDIO_FORMAT['sample_rate']}"
    if abs(seconds - stated) > ROUNDING_S:
        return f"metadata says {stated:.3f} s, the audio is {seconds:.3f} s long"
    if not shortest <= seconds <= longest:
        return (
            f"{seconds:.2f} s of speech for {len(text)} characters ({shortest:.2f} to {longest:.2f} expected)"
        )
    if loudness < SILENT_BELOW:
        return "silence"
    return ""


def _spoken_by(client: KaniTTSClient) -> str:
    metadata = client.last_answer.get("metadata", {})
    return ", ".join(str(metadata[key]) for key in ("engine", "voice") if key in metadata)


async def _whole(client: KaniTTSClient, keep: Path | None, name: str, text: str, **config: Any) -> Result:
    """Request speech as one answer, and check it."""
    started = time.perf_counter()
    try:
        wav = await client.send_tts_request(text, {**DEFAULT_CONFIG, **config})
        total = time.perf_counter() - started
        pcm, rate = read_wav(wav)
    except (KaniTTSError, CommandFailed) as failure:
        return Result(name, failure=str(failure))
    if keep is not None:
        (keep / f"{name.replace(' ', '_')}.wav").write_bytes(wav)
    fault = find_fault(
        pcm,
        rate,
        float(client.last_answer["metadata"].get("duration", -1)),
        text,
        float(config.get("speed", 1.0)),
    )
    return Result(name, fault, total, total, len(pcm) / 2 / rate, _spoken_by(client))


async def connectivity(client: KaniTTSClient, keep: Path | None) -> AsyncGenerator[Result, None]:
    """Check pings, also on a second connection."""
    for name in ("ping", "ping after reconnecting"):
        started = time.perf_counter()
        alive = await client.ping()
        yield Result(name, "" if alive else "no pong", total=time.perf_counter() - started)
        await client.disconnect()
        await client.connect()


async def spanish(client: KaniTTSClient, keep: Path | None) -> AsyncGenerator[Result, None]:
    """Check sentences of a conversation with rising speed and several emotions."""
    for number, (emotion, speed, text) in enumerate(SPANISH, 1):
        yield await _whole(client, keep, f"spanish {number} {emotion}", text, emotion=emotion, speed=speed)


async def streaming(client: KaniTTSClient, keep: Path | None) -> AsyncGenerator[Result, None]:
    """Check that streamed audio arrives early and ahead of its playback."""
    started = time.perf_counter()
    pcm, rate, first, behind, stated = bytearray(), AUDIO_FORMAT["sample_rate"], 0.0, 0.0, 0.0
    try:
        async for part in client.stream(LONG):
            now = time.perf_counter()
            first = first or now
            behind = max(behind, now - first - stated)
            stated += float(part.metadata.get("duration", -1))
            pcm += part.pcm
            rate = part.sample_rate
    except KaniTTSError as failure:
        yield Result("stream", failure=str(failure))
        return
    total = time.perf_counter() - started
    if keep is not None:
        with (keep / "stream.wav").open("wb") as opened:
            file = WavOutput(opened, rate)
            file.write(bytes(pcm))
            file.close()
    fault = find_fault(bytes(pcm), rate, stated, LONG, 1.0)
    gap = f"; playback waited {behind * 1000:.0f} ms inside the text" if behind > 0.01 else ""
    yield Result("stream", fault, first - started, total, len(pcm) / 2 / rate, _spoken_by(client) + gap)
    yield await _leaving(client)


async def _leaving(client: KaniTTSClient) -> Result:
    try:
        async for _ in client.stream(LONG):
            break
        left = time.perf_counter()
        alive = await client.ping()
    except KaniTTSError as failure:
        return Result("leaving a stream", failure=str(failure))
    return Result("leaving a stream", "" if alive else "no pong", total=time.perf_counter() - left)


async def errors(client: KaniTTSClient, keep: Path | None) -> AsyncGenerator[Result, None]:
    """Check that each invalid request gets its error and leaves the connection usable."""
    unreadable = {
        "not JSON": ("{", ERROR_MESSAGES["INVALID_JSON"]),
        "unknown type": ('{"type": "sing", "data": {}}', ERROR_MESSAGES["UNKNOWN_MESSAGE_TYPE"]),
        "no text": ('{"type": "tts_request", "data": {"text": ""}}', ERROR_MESSAGES["MISSING_TEXT"]),
    }
    invalid = {
        "language": ({"language": "atlantean"}, "lang"),
        "emotion": ({"emotion": "hungry"}, "emotion"),
        "strength": ({"emotion": "sad", "emotion_strength": 2}, "emotion_strength"),
        "speed": ({"speed": 99}, "speed"),
        "duration": ({"duration": 60}, "duration"),
    }
    for name, (message, expected) in unreadable.items():
        yield await _refused(client, f"error: {name}", message, expected)
    for name, (config, expected) in invalid.items():
        message = json.dumps({"type": "tts_request", "data": {"text": "a", "config": config}})
        yield await _refused(client, f"error: {name}", message, expected)


async def _refused(client: KaniTTSClient, name: str, message: str, expected: str) -> Result:
    if client.websocket is None or not client.connected:
        return Result(name, "the connection is gone")
    try:
        await client.websocket.send(message)
        answer = await asyncio.wait_for(client.websocket.recv(), client.chunk_timeout)
    except ConnectionClosed as closed:
        return Result(name, f"the connection was closed: {closed}")
    except TimeoutError:
        return Result(name, "no answer")
    said = json.loads(answer).get("data", {})
    if said.get("status") != "error" or expected not in str(said.get("message")):
        return Result(name, f"answered {json.dumps(said)[:80]}")
    return Result(name, "" if await client.ping() else "the connection is gone", note=said["message"][:70])


async def configurations(client: KaniTTSClient, keep: Path | None) -> AsyncGenerator[Result, None]:
    """Check every emotion and language, and that speed changes the length."""
    text = SPANISH[1][2]
    for emotion in SUPPORTED_EMOTIONS:
        yield await _whole(client, keep, f"emotion {emotion}", text, emotion=emotion)
    for language, sentence in LANGUAGES.items():
        yield await _whole(client, keep, language, sentence, language=language)
    slow, fast = [await _whole(client, keep, f"speed {speed}", text, speed=speed) for speed in (0.8, 1.6)]
    yield slow
    if slow.speech and fast.speech and not 1.6 < slow.speech / fast.speech < 2.4:
        fast = Result(
            fast.name, f"0.8 lasts {slow.speech / fast.speech:.2f} times as long as 1.6, not 2 times"
        )
    yield fast


async def speech_parameters(client: KaniTTSClient, keep: Path | None) -> AsyncGenerator[Result, None]:
    """Check numbers, the strength of an emotion, a blend of two, and an exact length."""
    spelled = await _whole(client, keep, "figures", NUMBERS_SENTENCE)
    yield spelled
    text = SPANISH[1][2]
    plain = await _whole(client, keep, "plain", text)
    yield plain
    sad, half, none = [
        await _whole(client, keep, f"sad {strength}", text, emotion="sad", emotion_strength=strength)
        for strength in (1.0, 0.5, 0.0)
    ]
    if sad.speech and half.speech and none.speech and not sad.speech > half.speech > none.speech:
        lengths = f"{sad.speech:.2f}, {half.speech:.2f} and {none.speech:.2f} s"
        half = replace(half, failure=f"strengths 1, 0.5 and 0 last {lengths}")
    for result in (sad, half, none):
        yield result
    yield await _whole(client, keep, "blend", text, emotion=BLEND)
    for share in LENGTHS:
        wanted = round(share * (plain.speech or 1.0), 2)
        result = await _whole(client, keep, f"duration {wanted} s", text, duration=wanted)
        if not result.failure and result.speech and abs(result.speech / wanted - 1) > TOLERANCE:
            result = replace(result, failure=f"it lasts {result.speech:.3f} s")
        yield result


async def stored_voices(
    client: KaniTTSClient, keep: Path | None, voices: VoicesClient
) -> AsyncGenerator[Result, None]:
    """Check that a recording becomes a voice that speaks, and that it can be deleted."""
    name = f"diagnostics-{secrets.token_hex(4)}"
    try:
        recording = await client.send_tts_request(LONG)
        started = time.perf_counter()
        voice = await _added(voices, name, recording)
    except (AuthenticationFailed, VoiceRefused) as refusal:
        fault = isinstance(refusal, VoiceRefused) and refusal.status in FAULTS
        yield Result("voice added", failure=str(refusal) if fault else "", skipped=str(refusal))
        return
    except KaniTTSError as failure:
        yield Result("voice added", failure=str(failure))
        return
    yield Result("voice added", total=time.perf_counter() - started, note=voice)
    try:
        spoken = await _whole(client, keep, "voice spoken with", SPANISH[1][2], voice_id=voice)
        yield replace(spoken, note=cloning_outcome(client.last_answer.get("metadata", {})))
    finally:
        deleted = await _deleted(voices, voice)
    yield deleted


async def _added(voices: VoicesClient, name: str, recording: bytes) -> str:
    """Return the id of a new voice; if this is cancelled meanwhile, the voice is deleted first."""
    adding = asyncio.create_task(asyncio.to_thread(voices.add, name, recording, MACHINE))
    try:
        return str((await asyncio.shield(adding))["id"])
    except asyncio.CancelledError:
        with contextlib.suppress(KaniTTSError):
            await _deleted(voices, (await adding)["id"])
        raise


async def _deleted(voices: VoicesClient, voice: str) -> Result:
    started = time.perf_counter()
    try:
        await asyncio.to_thread(voices.delete, voice)
        left = any(one["id"] == voice for one in await asyncio.to_thread(voices.list))
    except KaniTTSError as failure:
        return Result("voice deleted", failure=str(failure))
    total = time.perf_counter() - started
    return Result("voice deleted", "it is still listed" if left else "", total=total)


CHECKS: tuple[Check, ...] = (connectivity, spanish, streaming, errors, configurations, speech_parameters)


def _line(result: Result) -> str:
    def figure(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    factor = result.total / result.speech if result.total is not None and result.speech else None
    return (
        f"{'FAIL' if result.failure else 'skip' if result.skipped else 'ok':4}  {result.name:26}"
        f"{figure(result.first_audio and result.first_audio * 1000, '9.0f'):>9}"
        f"{figure(result.total and result.total * 1000, '9.0f'):>9}"
        f"{figure(result.speech, '9.2f'):>9}{figure(factor, '9.2f'):>9}  "
        f"{result.failure or result.skipped or result.note}"
    )


async def diagnose(client: KaniTTSClient, voices: VoicesClient, keep: Path | None) -> int:
    """Run every check on a connected client and print its results; return the number of failures."""
    print(f"{'':4}  {'check':26}{'first ms':>9}{'total ms':>9}{'speech s':>9}{'factor':>9}")
    tally: dict[str, list[Result]] = {}
    checks = {check.__name__: check(client, keep) for check in CHECKS}
    for name, check in (checks | {"voices": stored_voices(client, keep, voices)}).items():
        results = tally.setdefault(name, [])
        async for result in check:
            results.append(result)
            print(_line(result), flush=True)
    print()
    for name, results in tally.items():
        passed = sum(not result.failure for result in results)
        print(f"{'ok' if passed == len(results) else 'FAIL':4}  {name:26}{passed} of {len(results)}")
    return sum(bool(result.failure) for results in tally.values() for result in results)


async def _main(options: argparse.Namespace) -> int:
    client = KaniTTSClient(url=options.server, api_key=options.api_key)
    try:
        with named_remedy():
            async with client:
                failed = await diagnose(client, VoicesClient(options.server, options.api_key), options.keep)
    except (CommandFailed, NotConnected) as failure:
        print(failure, file=sys.stderr)
        return 2
    print(f"\n{'All checks passed.' if not failed else f'{failed} failed.'}")
    return 1 if failed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = Parser(
        prog=CHECK, description="Diagnostics of a running Kani TTS server.", extra=extra_word("--server")
    )
    add_server_options(parser)
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep the speech as WAV files in this folder"
    )
    options = parser.parse_args(arguments)
    find_server(parser, options)
    if options.keep is not None:
        try:
            options.keep.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            parser.error(f"--keep {options.keep}: no folder can be made there: {error.strerror}")
    try:
        return interrupt.run(_main(options))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    with broken_pipe.tolerated():
        raise SystemExit(main())
