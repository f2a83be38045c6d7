"""The engine joins others as ``--engine auto`` has it; then the server itself starts with it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
import time
import urllib.request
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.server_process import Server
from kani.core import late_engine
from kani.core.engine import Engine
from kani.core.recognizer import Mark, RecognitionEvent, RecognizedWord, RecognizerInfo
from kani.core.types import Samples, Sampling, Segment
from kani.engines.kani.engine import KaniEngine
from kani.engines.kani.plugin import KaniSettings
from kani.engines.plugin import Resources
from tests.engines.cuda_driver import cuda_driver
from tests.engines.kani.model import random_checkpoint
from tools.gpu import models, needs
from tools.gpu.results import Case

_ENDING = 2.5
"""Random speech then ends after some seconds."""

_SEEDS = tuple(range(1, 25))
"""Attempts of the trial: random speech has the length of the sentence by chance."""

_TOGETHER = 8


class _Understands:
    """A recogniser that understands the trial's sentence, whatever it hears."""

    info = RecognizerInfo("understands", "1.0", 16_000, frozenset({"es"}))

    async def start(self) -> None:
        """Nothing is to be loaded."""

    async def stop(self) -> None:
        """Nothing is to be freed."""

    async def recognize(
        self, audio: AsyncIterator[Samples | Mark], language: str | None
    ) -> AsyncGenerator[RecognitionEvent, None]:
        """Yield all words at the end."""
        async for _ in audio:
            pass
        yield RecognizedWord(late_engine.TRIAL_SENTENCES[language or "es"], 0.0, 1.0)


def join(case: Case) -> None:
    """Part joining: in this process, then by the server."""
    folder = case.work / "kani-ends"
    sizes = random_checkpoint.TINY if case.small else random_checkpoint.FULL
    models.make_models(case.work, small=case.small)
    models.write_model(folder, sizes, hashlib.sha256(), ending=_ENDING)
    late_engine.SEEDS = _SEEDS  # type: ignore[assignment]
    asyncio.run(_join(case, folder))
    if missing := needs.missing(needs.SERVER):
        case.write("left out", missing=["for the server", *missing])
    else:
        _serve(case, folder)


async def _join(case: Case, folder: Path) -> None:
    """Loading, trial, and speech of several at once, with one that is cancelled."""
    settings = KaniSettings(codec=str(case.work / "codec.nemo"))
    precision = "float32" if case.small else "auto"
    cache, device = case.work / "cache", str(case.device)
    resources = Resources(
        cache, model=str(folder), device=device, precision=precision, max_concurrent=_TOGETHER
    )
    admitted: list[Engine] = []
    late = late_engine.LateEngine("kani", KaniEngine(settings, resources), _Understands(), "es")
    begun = time.monotonic()
    late.start(admitted.append)
    states = [late.state]
    while late.state in ("loading", "trying") and case.left_s > 0:
        await asyncio.sleep(0.02)
        if states[-1] != late.state:
            states.append(late.state)
    case.write("joins", ok=late.state == "speaking", states=states, seconds=time.monotonic() - begun)
    if not admitted:
        return
    (engine,) = admitted
    spoken = await asyncio.gather(*(_speak(engine, number) for number in range(_TOGETHER)))
    case.write("speaks", ok=min(spoken) > 0, audio_s=spoken)
    await engine.stop()


async def _speak(engine: Engine, number: int) -> float:
    """Seconds of a sentence; the first one is left after its first piece."""
    voice = engine.info.default_voices["es"]
    sampling = Sampling(seed=number)
    segment = Segment(late_engine.TRIAL_SENTENCES["es"], voice, "es", max_seconds=8.0, sampling=sampling)
    samples = 0
    async with aclosing(engine.synthesize(segment)) as chunks:
        async for chunk in chunks:
            assert np.isfinite(chunk.samples).all()
            samples += len(chunk.samples)
            if number == 0:
                break
    return samples / engine.info.sample_rate


def _serve(case: Case, folder: Path) -> None:
    """Start the server as a user does. Random speech fails its trial, and the others go on speaking."""
    given = ["--no-fetch", "--model", str(folder), "--codec", str(case.work / "codec.nemo")]
    own: dict[str, Any] = {
        "KANI_LOG_FILE": str(case.work / "log"),
        "KANI_CACHE_DIR": str(case.work / "cache"),
        "KANI_MAX_CONCURRENT": "8",
    }
    if case.small:
        # A driver that counts one device: the engine joins, and is told to take the processor.
        own["LD_LIBRARY_PATH"] = str(cuda_driver(Path(tempfile.mkdtemp(dir=case.work))))
        given += ["--device", "cpu", "--precision", "float32"]
    with Server(*given, **own) as server:
        case.write("server is ready", seconds=server.start_s)
        begun, states = time.monotonic(), list[str]()
        while case.left_s > 10 and states[-1:] not in (["speaking"], ["failed"]):
            state = json.loads(_asked(server, "/health")).get("joining", {}).get("state", "none")
            states += [state] if state not in states else []
            time.sleep(0.1)
        why = _reason(case.work / "log")
        case.write(
            "server loads and tries it",
            ok=states[-1:] == ["failed"] and "its test sentence" in why,
            states=states,
            seconds=time.monotonic() - begun,
            why=why,
        )
        body = {"model": "tts-1", "input": "Sigo hablando.", "voice": "ef_dora"}
        spoken = len(_asked(server, "/v1/audio/speech", json.dumps(body).encode()))
        case.write("server goes on speaking", ok=spoken > 0, bytes=spoken)


def _asked(server: Server, path: str, body: bytes | None = None) -> bytes:
    """The server's answer to a GET, or to a POST of JSON."""
    address = f"http://127.0.0.1:{server.port}{path}"
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - the server's own address
        content: bytes = answer.read()
    return content


def _reason(log: Path) -> str:
    """The reason in the log for which an engine does not join."""
    lines = log.read_text("utf-8").splitlines() if log.is_file() else []
    return next((line[-300:] for line in reversed(lines) if "does not join" in line), "")
