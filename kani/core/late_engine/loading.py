"""An engine that is loaded in the background, and joins the service once it has passed a trial."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Literal

from kani.core.engine import Engine
from kani.core.errors import EngineUnavailable, SpeechError
from kani.core.late_engine.trial import run_trial
from kani.core.recognizer import Recognizer

log = logging.getLogger(__name__)

LateEngineState = Literal["loading", "trying", "speaking", "failed"]


class LateEngine:
    """Loads an engine in the background, runs a trial of it, and hands it to the service.

    A failure is logged once, with a remedy; the other engines are not affected.
    """

    def __init__(self, name: str, engine: Engine, recognizer: Recognizer, language: str) -> None:
        """name: the engine's; recognizer: recognises the trial's speech, not started, used only here;
        language: BCP 47 tag of the trial, if the engine supports it.
        """
        self.name = name
        self.state: LateEngineState = "loading"
        self._engine = engine
        self._recognizer = recognizer
        self._language = language
        self._task: asyncio.Task[None] | None = None

    def start(self, admit: Callable[[Engine], None]) -> None:
        """Start in the background; ``admit`` is called with the engine once it has passed the trial."""
        self._task = asyncio.create_task(self._run(admit), name=f"{self.name} joins")

    async def stop(self) -> None:
        """Give up, if the engine has not joined. A thread that loads the model may go on (see ``state``)."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self, admit: Callable[[Engine], None]) -> None:
        try:
            await self._engine.start()
            self.state = "trying"
            await self._run_trial()
            admit(self._engine)
            self.state = "speaking"
        except EngineUnavailable as error:
            self._fail(str(error))
        except SpeechError as error:
            self._fail(f"{error}. Try it alone with --engine {self.name}, or take other model files")
        except Exception:
            # Drivers and libraries raise errors of any type, and none of them may end the service.
            log.exception("the %s engine failed while it was loaded or tried", self.name)
            self._fail("it failed, see the traceback above: mend that, or do without it by --engine kokoro")
        finally:
            if self.state != "speaking":
                await self._engine.stop()
        if self.state == "speaking":
            info = self._engine.info
            languages = " ".join(sorted(info.default_voices))
            log.info("%s %s has joined, and speaks %s from now on", info.name, info.version, languages)

    async def _run_trial(self) -> None:
        await self._recognizer.start()
        try:
            await run_trial(self._engine, self._recognizer, self._language)
        finally:
            await self._recognizer.stop()

    def _fail(self, reason: str) -> None:
        self.state = "failed"
        log.warning("the %s engine does not join; the other engines are not affected: %s", self.name, reason)
