"""Turns that end once their words have come, in one loop over a session of the recogniser."""

from collections.abc import AsyncGenerator, AsyncIterator

from kani.core.conversation.turns import TurnChange, TurnMachine, TurnRule
from kani.core.recognizer import RecognitionEvent, RecognizedWord, Step
from kani.core.session.recognition import RecognitionSession

_NOTHING_WAITS_S = 0.25
"""Seconds of audio that have no step yet because they are only a rest: of more, further steps come."""


async def heard_turns(
    events: AsyncIterator[RecognitionEvent],
    session: RecognitionSession,
    turns: TurnMachine,
    rule: TurnRule | None,
) -> AsyncGenerator[RecognizedWord | Step | TurnChange]:
    """Yield the words and steps of a session's ``events``, each before what it changes in ``turns``.

    Steps come only with audio. So a turn that waits for its last words asks for a mark, which returns once
    they have come: a client may send nothing after its silence. rule: None where turns are not found.
    """
    marked_s: float | None = None  # end of the speech before the mark that has not returned
    async for event in events:
        changes = list[TurnChange]()
        if isinstance(event, RecognizedWord):
            yield event
            turns.add_word(event)
        elif isinstance(event, Step):
            yield event
            changes = turns.feed(event, rule)
        elif marked_s is not None:
            assert rule is not None
            changes, marked_s = turns.know_words(marked_s, rule), None
        for change in changes:
            yield change
        awaited_s = turns.awaited_s(rule)
        nothing_waits = session.backlog_samples < _NOTHING_WAITS_S * turns.sample_rate
        if awaited_s is not None and marked_s is None and nothing_waits:
            marked_s = awaited_s
            await session.mark(0)
