"""A conversation with a language model, for programs that use asyncio."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

from prometheus_client import CollectorRegistry

from kani.composition.speech_service import build_service
from kani.core.audio.encoding import AudioFormat
from kani.core.conversation.history import History
from kani.core.errors import SpeechCancelled
from kani.core.expected_words import MAX_TEXT
from kani.core.observer import Observer
from kani.core.types import SpeechRequest
from kani.library.arguments import check_text, hints, rate
from kani.library.asynchronous import OwnService, settings_of
from kani.library.results import ConversationEvent
from kani.library.sounds import Pieces
from kani.library.streams import closed_at_the_end
from kani.library.talk import Talk, TalkConfig

FORMAT = AudioFormat("pcm", 24_000)
"""Format of the answers."""


class AsyncConversation(OwnService):
    """Answers what is said by a chat endpoint's language model; use it by ``async with``.

    llm_url: base address of the endpoint, such as ``http://localhost:11434/v1``; engine, recognizer: as for
    ``AsyncSpeech`` and ``AsyncRecognizer``; voice: an id of ``AsyncSpeech.voices``; language: a tag, a code
    or a name, detected from the speech if not given; prompt: names and words to expect in the speech;
    settings: the server's, such as ``llm_model`` and ``llm_instructions``. Entering raises EngineUnavailable.
    """

    def __init__(
        self,
        llm_url: str,
        engine: str = "auto",
        recognizer: str = "auto",
        *,
        voice: str | None = None,
        language: str | None = None,
        prompt: str = "",
        **settings: Any,
    ) -> None:
        for name, value in (("llm_url", llm_url), ("prompt", prompt)):
            check_text(name, value)
        check_text("voice", voice, optional=True)
        chosen = settings_of(llm_url=llm_url, engine=engine, recognizer=recognizer, **settings)
        self._service = build_service(chosen, Observer(), CollectorRegistry())
        self._request = SpeechRequest(voice=voice, languages=hints(language))
        self._config = TalkConfig(
            *(FORMAT, FORMAT),
            instructions=chosen.llm_instructions,
            language=language,
            prompt=prompt[-MAX_TEXT:],
        )
        self.history = History()

    @closed_at_the_end
    async def talk(self, audio: Pieces, sample_rate: int) -> AsyncGenerator[ConversationEvent, None]:
        """Yield what was understood and what is answered, until ``audio`` ends and its last turn is answered.

        audio: the user's speech as it comes, in real time, at ``sample_rate`` hertz. Play each ``Answered``
        when it comes; a word of the user, or a voice that goes on, interrupts it, but not a listener's "mhm".
        The answer's own echo is told from the user's voice as long as it is quieter; with headphones or echo
        cancellation there is none. Raises EngineFailed.
        """
        config = replace(self._config, input_format=AudioFormat("pcm", rate(sample_rate)))
        talk = Talk(self._service, self.history, config, self._request)
        feeding = asyncio.create_task(talk.feed(audio))
        listening = asyncio.create_task(talk.listen())
        try:
            while not listening.done() or talk.has_events:
                getting = asyncio.create_task(talk.event())
                try:
                    await asyncio.wait({getting, listening}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    getting.cancel()
                if getting.done():
                    yield getting.result()
            await listening  # first: after its failure the audio may go on for ever
            if not feeding.done():
                raise SpeechCancelled
            await feeding
        finally:
            feeding.cancel()
            listening.cancel()
            await asyncio.gather(feeding, listening, return_exceptions=True)
            await talk.aclose()
