"""An engine that starts while others speak, and joins them once it has shown that it speaks, too."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Literal

from speech.engine import Engine
from speech.engine_trial import run_trial
from speech.errors import EngineUnavailable, SpeechError
from speech.recognizer import Recognizer

log = logging.getLogger(__name__)

LateEngineState = Literal["loading", "trying", "speaking", "failed"]


class LateEngine:
    """Starts an engine behind the speech, tries it, and has it admitted.

    Whatever goes wrong is logged once, with a cure, and those who speak already go on.
    """

    def __init__(self, name: str, engine: Engine, recognizer: Recognizer, language: str) -> None:
        """name: the engine's; recognizer: who has to understand it, not started and of nobody else's use;
        language: BCP 47, in which it is tried if it speaks that."""
        self.name = name
        self.state: LateEngineState = "loading"
        self._engine = engine
        self._recognizer = recognizer
        self._language = language
        self._task: asyncio.Task[None] | None = None

    def start(self, admit: Callable[[Engine], None]) -> None:
        """Start in the background; ``admit`` is called between two steps of the loop once it speaks."""
        self._task = asyncio.create_task(self._run(admit), name=f"{self.name} joins")

    async def stop(self) -> None:
        """Give up, if it has not joined. A thread that loads the model may go on (see ``state``)."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self, admit: Callable[[Engine], None]) -> None:
        try:
            await self._engine.start()
            self.state = "trying"
            await self._tried()
            admit(self._engine)
            self.state = "speaking"
        except EngineUnavailable as error:
            self._failed(str(error))
        except SpeechError as error:
            self._failed(
                f"{error}. Hear it alone with --engine {self.name}, or take other files (--model, --codec)"
            )
        except Exception:
            # Drivers and libraries raise whatever they like, and none of it may take the voice away.
            log.exception("the %s engine broke while it was loaded or tried", self.name)
            self._failed("it broke, as the lines above say: mend that, or do without it by --engine kokoro")
        finally:
            if self.state != "speaking":
                await self._engine.stop()
        if self.state == "speaking":
            info = self._engine.info
            languages = " ".join(sorted(info.default_voices))
            log.info("%s %s has joined, and speaks %s from now on", info.name, info.version, languages)

    async def _tried(self) -> None:
        await self._recognizer.start()
        try:
            await run_trial(self._engine, self._recognizer, self._language)
        finally:
            await self._recognizer.stop()

    def _failed(self, reason: str) -> None:
        self.state = "failed"
        log.warning(
            "the %s engine does not join, and the voices that speak already go on: %s", self.name, reason
        )
