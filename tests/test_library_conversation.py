"""The library's conversation: turns heard, answers spoken while they are written, interruptions."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kani import Answered, AsyncConversation, AsyncSpeech, Heard, Interrupted, NoAnswer
from kani.composition import speech_service
from kani.core.errors import EngineFailed
from kani.core.types import Samples
from kani.library.results import ConversationEvent
from kani.runtime.turn_model.model import SmartTurn
from tests.clients.openai_realtime import loud, quiet
from tests.judges.judge import hear, word_error_rate
from tests.support.chat.endpoint import Answer, ChatEndpoint, chat_endpoint, say
from tests.support.loudness import PausingRecognizer
from tests.support.patience import WITHIN_S, happens
from tests.support.programs import python

RATE = 24_000
SENTENCE = quiet(0.4), loud(0.4)
PAUSE = quiet(0.4)
SYSTEM, HEARD = ("system", "Be brief."), "w0 w1 w2 w3 w4."
LONG = "This is a long answer, and it goes on for a good while. It has a second sentence, too."


@pytest.fixture(autouse=True)
def words_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only words and silence end a turn: what the turn model hears in a tone differs by processor."""
    monkeypatch.setattr(speech_service, "build_turn_model", lambda: None)


async def talk(
    endpoint: ChatEndpoint,
    audio: Callable[[list[ConversationEvent]], AsyncIterator[Samples]],
    words: Sequence[str] = (),
    *,
    early: bool = False,
) -> list[ConversationEvent]:
    events: list[ConversationEvent] = []
    settings = {"llm_instructions": "Be brief.", "llm_early": early}
    conversation = AsyncConversation(endpoint.url, "espeak", "none", **settings)
    conversation._service.recognizer = PausingRecognizer(words=words)
    async with conversation:
        async for event in conversation.talk(audio(events), RATE):
            events.append(event)
    return events


async def test_each_turn_is_answered() -> None:
    async def audio(_: list[ConversationEvent]) -> AsyncIterator[Samples]:
        yield np.concatenate([quiet(0.4), loud(0.4), quiet(1.0)])

    async with chat_endpoint(lambda _: say(LONG)) as endpoint:
        events = await talk(endpoint, audio)
    assert events[0] == Heard("w0 w1 w2 w3 w4.", "en")
    assert "".join(event.text for event in events if isinstance(event, Answered)) == LONG
    assert sum(len(event.samples) for event in events if isinstance(event, Answered)) > 3 * RATE
    assert endpoint.said == [[("system", "Be brief."), ("user", "w0 w1 w2 w3 w4.")]]


async def test_sound_and_words_judge_the_ends_of_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[SmartTurn] = []

    def prepare(model: SmartTurn) -> Awaitable[None]:
        used.append(model)
        return asyncio.sleep(0)

    async def audio(_: list[ConversationEvent]) -> AsyncIterator[Samples]:
        yield quiet(0.4)

    monkeypatch.setattr(speech_service, "build_turn_model", SmartTurn)
    monkeypatch.setattr(SmartTurn, "prepare", prepare)
    async with chat_endpoint(lambda _: say(LONG)) as endpoint:
        await talk(endpoint, audio)
    assert len(used) == 1


@pytest.fixture
def probably_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """The turn model hears no whole sentence, but nearly: a pause of 0.3 to 0.75 s may end the turn."""

    async def completeness(_model: SmartTurn, _samples: Samples, _rate: int) -> float:
        return 0.9

    monkeypatch.setattr(speech_service, "build_turn_model", SmartTurn)
    monkeypatch.setattr(SmartTurn, "prepare", lambda _: asyncio.sleep(0))
    monkeypatch.setattr(SmartTurn, "completeness", completeness)


@pytest.mark.usefixtures("probably_complete")
async def test_answer_is_begun_in_a_pause_and_given_out_after_the_turn() -> None:
    async def audio(events: list[ConversationEvent]) -> AsyncIterator[Samples]:
        yield np.concatenate([*SENTENCE, PAUSE])
        await happens(lambda: endpoint.requests)
        assert not events
        yield quiet(1.0)

    async with chat_endpoint(lambda _: say(LONG)) as endpoint:
        events = await talk(endpoint, audio, early=True)
    assert events[0] == Heard(HEARD, "en")
    assert "".join(event.text for event in events if isinstance(event, Answered)) == LONG
    assert endpoint.said == [[SYSTEM, ("user", HEARD)]]


@pytest.mark.usefixtures("probably_complete")
async def test_speaker_who_goes_on_hears_nothing_of_an_early_answer() -> None:
    answers = iter([say("Never. Not at all.", holds={2: asyncio.Event()}), say("Yes.")])

    async def audio(_: list[ConversationEvent]) -> AsyncIterator[Samples]:
        yield np.concatenate([*SENTENCE, PAUSE])
        await happens(lambda: endpoint.requests)
        yield loud(0.4)
        await asyncio.wait_for(endpoint.closed.wait(), WITHIN_S)
        yield quiet(1.0)

    async with chat_endpoint(lambda _: next(answers)) as endpoint:
        events = await talk(endpoint, audio, early=True)
    whole = f"{HEARD} w5 w6 w7 w8 w9."
    assert [event.text for event in events if isinstance(event, Heard)] == [whole]
    assert "".join(event.text for event in events if isinstance(event, Answered)) == "Yes."
    assert endpoint.said[0] == [SYSTEM, ("user", HEARD)] and endpoint.said[-1] == [SYSTEM, ("user", whole)]


@pytest.mark.usefixtures("probably_complete")
async def test_leaving_in_the_pause_ends_an_early_answer() -> None:
    async def audio() -> AsyncIterator[Samples]:
        yield np.concatenate([*SENTENCE, PAUSE])
        await asyncio.Event().wait()

    async with chat_endpoint(lambda _: say("Never.", holds={0: asyncio.Event()})) as endpoint:
        conversation = AsyncConversation(endpoint.url, "espeak", "none", llm_early=True)
        conversation._service.recognizer = PausingRecognizer()
        async with conversation:
            talking = asyncio.ensure_future(anext(conversation.talk(audio(), RATE)))
            await happens(lambda: endpoint.requests)
            talking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await talking
            await asyncio.wait_for(endpoint.closed.wait(), WITHIN_S)
            assert conversation._service.state().sessions == 0


async def test_speech_interrupts_and_the_rest_was_not_heard() -> None:
    answers = iter([say(LONG), say("Yes.")])

    async def audio(events: list[ConversationEvent]) -> AsyncIterator[Samples]:
        yield np.concatenate([quiet(0.4), loud(0.4), quiet(1.0)])
        await happens(lambda: any(isinstance(event, Answered) for event in events))
        yield np.concatenate([loud(0.4), quiet(1.0)])

    async with chat_endpoint(lambda _: next(answers)) as endpoint:
        events = await talk(endpoint, audio)
    kinds = [type(event) for event in events]
    (interrupted,) = [event for event in events if isinstance(event, Interrupted)]
    assert kinds.index(Answered) < kinds.index(Interrupted)
    assert LONG.startswith(interrupted.text) and interrupted.text != LONG
    # Of an answer of which nothing was heard the model is told nothing.
    told = [text for role, text in endpoint.said[1] if role == "assistant"]
    assert told == ([interrupted.text] if interrupted.text else [])


async def test_answer_that_has_not_sounded_is_dropped_as_the_user_goes_on() -> None:
    answers = iter([say("Never.", holds={0: asyncio.Event()}), say("Yes.")])

    async def audio(events: list[ConversationEvent]) -> AsyncIterator[Samples]:
        yield np.concatenate([quiet(0.4), loud(0.4), quiet(1.0)])
        await happens(lambda: endpoint.requests)
        yield loud(0.24)  # a cough: it has no words
        await asyncio.wait_for(endpoint.closed.wait(), WITHIN_S)
        yield quiet(1.0)
        await happens(lambda: any(isinstance(event, Answered) for event in events))

    async with chat_endpoint(lambda _: next(answers)) as endpoint:
        events = await talk(endpoint, audio, ("What", "is", "it", "like", "now?", "", "", ""))
    asked = [SYSTEM, ("user", "What is it like now?")]
    assert endpoint.said == [asked, asked]
    assert [type(event) for event in events[:2]] == [Heard, Answered]
    assert "".join(event.text for event in events if isinstance(event, Answered)) == "Yes."


async def test_words_before_the_answer_sounds_join_the_turn() -> None:
    answers = iter([say("Never.", holds={0: asyncio.Event()}), say("Yes.")])

    async def audio(events: list[ConversationEvent]) -> AsyncIterator[Samples]:
        yield np.concatenate([quiet(0.4), loud(0.4), quiet(1.04)])  # whole steps
        await happens(lambda: endpoint.requests)
        yield loud(0.4)
        await asyncio.wait_for(endpoint.closed.wait(), WITHIN_S)
        yield quiet(1.0)
        await happens(lambda: any(isinstance(event, Answered) for event in events))

    async with chat_endpoint(lambda _: next(answers)) as endpoint:
        events = await talk(endpoint, audio)
    assert endpoint.said[-1] == [SYSTEM, ("user", f"{HEARD}\nw5 w6 w7 w8 w9.")]
    assert "".join(event.text for event in events if isinstance(event, Answered)) == "Yes."
    assert not any(isinstance(event, Interrupted) for event in events)


@pytest.mark.parametrize("last", ["Mhm.", "Stop."])
async def test_word_interrupts_but_no_listener(last: str) -> None:
    answers = iter([say(LONG), say("Yes.")])

    async def audio(events: list[ConversationEvent]) -> AsyncIterator[Samples]:
        yield np.concatenate([quiet(0.4), loud(0.4), quiet(1.0)])
        await happens(lambda: any(isinstance(event, Answered) for event in events))
        yield np.concatenate([loud(0.24), quiet(1.0)])

    async with chat_endpoint(lambda _: next(answers)) as endpoint:
        events = await talk(endpoint, audio, ("What", "is", "it", "like", "now?", last, "", ""))
    heard = [event.text for event in events if isinstance(event, Heard)]
    told = "".join(event.text for event in events if isinstance(event, Answered))
    if last == "Mhm.":
        assert (heard, told) == (["What is it like now?"], LONG)
    else:
        assert heard == ["What is it like now?", "Stop."] and told.endswith("Yes.")
    assert any(isinstance(event, Interrupted) for event in events) == (last == "Stop.")


async def test_failure_is_an_event_and_the_conversation_goes_on() -> None:
    answers = iter([Answer(status=404, error={"error": "model not found"}), say("Yes.")])

    async def audio(events: list[ConversationEvent]) -> AsyncIterator[Samples]:
        turn = np.concatenate([quiet(0.4), loud(0.4), quiet(1.0)])
        yield turn
        await happens(lambda: any(isinstance(event, NoAnswer) for event in events))
        yield turn

    async with chat_endpoint(lambda _: next(answers)) as endpoint:
        events = await talk(endpoint, audio)
    assert [event for event in events if isinstance(event, Answered)]


async def test_turn_ends_though_the_recognition_lags() -> None:
    async def audio(events: list[ConversationEvent]) -> AsyncIterator[Samples]:
        yield np.concatenate([quiet(0.4), loud(0.4), quiet(3.0)])
        await happens(lambda: any(isinstance(event, Answered) for event in events))

    async with chat_endpoint(lambda _: say("Yes.")) as endpoint:
        async with asyncio.timeout(WITHIN_S):
            assert (await talk(endpoint, audio))[0] == Heard("w0 w1 w2 w3 w4.", "en")


async def test_slow_reader_still_learns_what_was_understood() -> None:
    reading, third = asyncio.Event(), asyncio.Event()

    async def audio(_: list[ConversationEvent]) -> AsyncIterator[Samples]:
        for number in (1, 2, 3):
            yield np.concatenate([quiet(0.4), loud(0.4), quiet(1.04)])
            while len(endpoint.requests) < number:
                await asyncio.sleep(0.01)
            await reading.wait()
        third.set()

    async with chat_endpoint(lambda _: say(LONG)) as endpoint:
        conversation = AsyncConversation(endpoint.url, "espeak", "none")
        conversation._service.recognizer = PausingRecognizer()
        heard = []
        async with conversation, asyncio.timeout(WITHIN_S):
            async for event in conversation.talk(audio([]), RATE):
                if isinstance(event, Answered):
                    reading.set()
                    await third.wait()
                if isinstance(event, Heard):
                    heard.append(event.text)
    assert heard == ["w0 w1 w2 w3 w4.", "w5 w6 w7 w8 w9.", "w10 w11 w12 w13 w14."]


async def test_failed_recognition_ends_the_talk_though_the_audio_goes_on() -> None:
    async def audio() -> AsyncIterator[Samples]:
        yield np.concatenate([quiet(0.4), loud(0.4), quiet(1.0), loud(0.4, level=0.9)])
        await asyncio.Event().wait()

    async with chat_endpoint(lambda _: say(f"{LONG} " * 20)) as endpoint:
        conversation = AsyncConversation(endpoint.url, "espeak", "none")
        conversation._service.recognizer = PausingRecognizer(breaks_above=0.5)
        async with conversation, asyncio.timeout(WITHIN_S):
            with pytest.raises(EngineFailed):
                async for _ in conversation.talk(audio(), RATE):
                    pass
            assert conversation._service.state().sessions == 0


async def test_answer_without_a_voice_is_an_event() -> None:
    async def audio() -> AsyncIterator[Samples]:
        yield np.concatenate([quiet(0.4), loud(0.4), quiet(1.0)])

    async with chat_endpoint(lambda _: say("Yes.")) as endpoint:
        conversation = AsyncConversation(endpoint.url, "espeak", "none", voice="nobody")
        conversation._service.recognizer = PausingRecognizer()
        async with conversation:
            events = [event async for event in conversation.talk(audio(), RATE)]
    assert isinstance(events[-1], NoAnswer) and "nobody" in events[-1].reason


@pytest.mark.heard
async def test_example_hears_and_is_heard(tmp_path: Path) -> None:
    question, answer = (
        "Which platform does the train to the north leave from?",
        "It leaves from platform seven.",
    )
    async with AsyncSpeech() as speech:
        asked = await speech.say(question, voice="af_heart")
    samples = np.concatenate([np.zeros(RATE // 2), asked.samples, np.zeros(2 * RATE)])
    soundfile.write(tmp_path / "question.wav", samples, RATE, subtype="PCM_16")
    async with chat_endpoint(lambda _: say(answer)) as endpoint:
        files = [str(tmp_path / name) for name in ("question.wav", "answer.wav")]
        ended = await asyncio.to_thread(python, "examples/talk.py", endpoint.url, "--files", *files)
    assert word_error_rate(question, endpoint.said[-1][-1][1], "en") <= 0.15
    assert answer in ended.stdout
    spoken, rate = soundfile.read(tmp_path / "answer.wav", dtype="float32")
    assert word_error_rate(answer, hear(spoken, rate, "en"), "en") <= 0.15


async def test_leaving_ends_the_answer() -> None:
    async def audio() -> AsyncIterator[Samples]:
        yield np.concatenate([quiet(0.4), loud(0.4), quiet(1.0)])
        await asyncio.Event().wait()

    async with chat_endpoint(lambda _: say(f"{LONG} " * 20)) as endpoint:
        conversation = AsyncConversation(endpoint.url, "espeak", "none")
        conversation._service.recognizer = PausingRecognizer()
        async with conversation, aclosing(conversation.talk(audio(), RATE)) as events:
            async for event in events:
                if isinstance(event, Answered):
                    break
        assert conversation._service.state().sessions == 0
