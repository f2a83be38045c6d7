"""The words of turns that have stopped, until all are known and the answers begin."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from kani.core.conversation.config import ConversationConfig
from kani.core.conversation.history import History
from kani.core.conversation.input.events import InputEvents
from kani.core.conversation.input.transcript import Transcript, spoken_part
from kani.core.conversation.items import Message
from kani.core.conversation.turn_answers import TurnAnswers
from kani.core.errors import SpeechError
from kani.core.recognizer import RecognizedWord
from kani.core.turns.interruption import SAID_S


@dataclass(eq=False)
class TurnWords:
    """Tells the words of one connection's items, and has its turns answered."""

    _history: History  # takes the items
    _events: InputEvents
    _turns: TurnAnswers  # learns of turns
    _config: Callable[[], ConversationConfig]  # returns the one in force
    report: Callable[[str, float], None]  # called with a stage of a turn, and the seconds that it took
    pending: deque[Transcript] = field(default_factory=deque)  # of turns that stopped, in their order
    _late: asyncio.Task[None] | None = None  # tells the words of a turn that is answered

    async def add(self, word: RecognizedWord, transcript: Transcript, offset_s: float) -> None:
        """Add a word to a transcript; offset_s: of its times, in the session's audio."""
        delta = transcript.add(word, offset_s)
        if self._config().tells_words:
            await self._events.grown(transcript, delta, offset_s + word.start_s)

    async def commit(self, transcript: Transcript) -> None:
        """Add the item to the conversation, its words to come."""
        transcript.committed = True
        item = Message(transcript.item_id, "user", (spoken_part(None),), pending=True)
        await self._events.committed(item, self._history.append(item))

    async def complete_while(self, known: Callable[[Transcript], bool]) -> None:
        """Complete pending transcripts in order, until the words of one are not ``known``."""
        while self.pending and known(self.pending[0]):
            await self.complete(self.pending.popleft())

    async def complete(self, transcript: Transcript) -> None:
        """Tell the words of a transcript; no more of them come."""
        await self.told()
        if await self._answer_live_words(transcript):
            # In a task: a voice over the answer is judged meanwhile.
            self._late = asyncio.create_task(self._tell(transcript, answered=True))
            return
        await self._tell(transcript)
        if transcript.to_be_answered:
            self._answer(transcript)

    async def told(self) -> None:
        """Wait until the words of a turn that is answered already are told."""
        if self._late is not None:
            await asyncio.gather(self._late, return_exceptions=True)

    async def _tell(self, transcript: Transcript, *, answered: bool = False) -> None:
        """Send the words of the turn as a whole."""
        # Without an answer to come the transcript is not asked for.
        if known := self._config().wants_words:
            await transcript.hear_again(answered=answered)
        self._settle(transcript, known=known)
        if self._config().tells_words:
            transcript.tells_log_probabilities = self._config().log_probabilities
            await self._events.completed(transcript)

    async def _answer_live_words(self, transcript: Transcript) -> bool:
        """Begin the answer to the words that were heard live, while their turn is heard as a whole.

        Returns True if that answer is given out, because the turn is not heard before its first sound.
        """
        hearing = transcript.hearing
        if not transcript.to_be_answered or hearing is None or hearing.dictated:
            return False
        self._settle(transcript, known=True)
        await self._turns.begin_answer(hearing, transcript.language)
        hearing.begun.set()
        if hearing.done:
            return False
        self._answer(transcript)
        return True

    def _answer(self, transcript: Transcript) -> None:
        self.report("heard", time.perf_counter() - transcript.stopped_at)
        said = bool(transcript.text) or transcript.voiced_s >= SAID_S
        self._turns.transcribed(transcript.language, said=said)

    def _settle(self, transcript: Transcript, *, known: bool) -> None:
        """Note that no more words come; known: whether those that came are the item's transcript."""
        # The item may be deleted by now.
        item = self._history.get(transcript.item_id)
        if isinstance(item, Message):
            if known:
                self._history.change(item, parts=(spoken_part(transcript.text),))
            self._history.settle(item)

    def give_up(self) -> None:
        """Note that no more words of pending transcripts come, nor events of them."""
        while self.pending:
            self._settle(self.pending.popleft(), known=False)

    async def fail(self, current: Transcript, error: SpeechError) -> None:
        """Send that the words of pending transcripts will not come, nor those of the ``current`` one."""
        failed = [*self.pending, current]
        self.pending.clear()
        for transcript in failed:
            self._settle(transcript, known=False)
            await self._events.failed(transcript, error)

    async def aclose(self) -> None:
        if self._late is not None:
            self._late.cancel()
            await asyncio.gather(self._late, return_exceptions=True)
