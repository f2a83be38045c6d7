"""The library's conversation: turns heard, answers spoken while they are written, interruptions."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from kani import Answered, AsyncConversation, AsyncSpeech, Heard, Interrupted, InvalidRequest, NoAnswer
from kani.composition import speech_service
from kani.core.errors import EngineFailed
from kani.core.types import Samples
from kani.library.results import ConversationEvent
from kani.runtime.turn_model.model import SmartTurn
from tests.clients.openai_realtime import loud, quiet
from tests.judges.judge import hear, word_error_rate
from tests.support.chat.endpoint import Answer, ChatEndpoint, chat_endpoint, say
from tests.support.chat.talking import script
from tests.support.loudness import PausingRecognizer
from tests.support.patience import WITHIN_S, happens
from tests.support.programs import python

RATE = 24_000
SYSTEM, HEARD = ("system", "Be brief."), "w0 w1 w2 w3 w4."
QUESTION = ("What", "is", "it", "like", "now?")
LONG = "This is a long answer, and it goes on for a good while. It has a second sentence, too."


def turn(silence_s: float = 1.0, voice_s: float = 0.4) -> Samples:
    return np.concatenate([quiet(0.4), loud(voice_s), quiet(silence_s)])


@pytest.fixture(autouse=True)
def words_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only words and silence end a turn: what the turn model hears in a tone differs by processor."""
    monkeypatch.setattr(speech_service, "build_turn_model", lambda _: None)


@asynccontextmanager
async def conversing(
    endpoint: ChatEndpoint, recognizer: PausingRecognizer | None = None, **settings: Any
) -> AsyncIterator[AsyncConversation]:
    """No session is left in the end."""
    conversation = AsyncConversation(endpoint.url, "espeak", "none", **settings)
    conversation._service.recognition.recognizer = recognizer or PausingRecognizer()
    async with conversation, asyncio.timeout(WITHIN_S):
        yield conversation
        assert conversation._service.state().sessions == 0


async def talk(
    endpoint: ChatEndpoint,
    *parts: Samples | Callable[[list[ConversationEvent]], object],
    words: Sequence[str] = (),
    early: bool = False,
    **settings: Any,
) -> list[ConversationEvent]:
    """parts: what is said, or what has to become true of the events so far before the next is."""
    events: list[ConversationEvent] = []

    async def audio() -> AsyncIterator[Samples]:
        for part in parts:
            if isinstance(part, np.ndarray):
                yield part
            else:
                await happens(partial(part, events))

    settings = {"llm_instructions": SYSTEM[1], "llm_early": early} | settings
    async with conversing(endpoint, PausingRecognizer(words=words), **settings) as conversation:
        async for event in conversation.talk(audio(), RATE):
            events.append(event)
    return events


@pytest.mark.parametrize("wrong", ["llm_url", "voice", "language", "prompt"])
def test_wrong_argument_is_named(wrong: str) -> None:
    given: dict[str, Any] = {"llm_url": "http://localhost:1/v1", "engine": "espeak", wrong: 5}
    with pytest.raises(InvalidRequest, match=f"{wrong}: must be a text, not int"):
        AsyncConversation(**given)


async def test_wrong_rate_is_named() -> None:
    async def audio() -> AsyncIterator[Samples]:
        yield quiet(0.1)

    async with chat_endpoint(script([say("Yes.")])) as endpoint, conversing(endpoint) as conversation:
        for rate in (0, 16, "24000", 200_000):
            with pytest.raises(InvalidRequest, match=r"sample_rate: .* between 4000 and 96000"):
                await anext(conversation.talk(audio(), rate))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("language", "hints"), [("spanish", ("es",)), ("es_MX", ("es-MX",)), ("yo", ()), ("", ())]
)
def test_language_of_an_answer_is_a_tag_a_code_or_a_name(language: str, hints: tuple[str, ...]) -> None:
    """Whisper knows Yoruba, which no engine speaks."""
    conversation = AsyncConversation("http://localhost:1/v1", "espeak", language=language)
    assert conversation._request.languages == hints


def answered(events: list[ConversationEvent], kind: type[Answered | NoAnswer] = Answered) -> bool:
    return any(isinstance(event, kind) for event in events)


def texts(events: list[ConversationEvent], kind: type[Heard | Answered] = Answered) -> list[str]:
    return [event.text for event in events if isinstance(event, kind)]


async def endless(*parts: Samples) -> AsyncIterator[Samples]:
    for part in parts:
        yield part
    await asyncio.Event().wait()


async def test_each_turn_is_answered() -> None:
    async with chat_endpoint(lambda _: say(LONG)) as endpoint:
        events = await talk(endpoint, turn())
    assert events[0] == Heard(HEARD, "en")
    assert "".join(texts(events)) == LONG
    assert sum(len(event.samples) for event in events if isinstance(event, Answered)) > 3 * RATE
    assert endpoint.said == [[SYSTEM, ("user", HEARD)]]


async def test_sound_and_words_judge_the_ends_of_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[SmartTurn] = []

    def prepare(model: SmartTurn) -> Awaitable[None]:
        used.append(model)
        return asyncio.sleep(0)

    monkeypatch.setattr(speech_service, "build_turn_model", SmartTurn)
    monkeypatch.setattr(SmartTurn, "prepare", prepare)
    async with chat_endpoint(lambda _: say(LONG)) as endpoint:
        await talk(endpoint, quiet(0.4))
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
    before: list[int] = []

    def asked(events: list[ConversationEvent]) -> bool:
        before.append(len(events))
        return bool(endpoint.requests)

    async with chat_endpoint(lambda _: say(LONG)) as endpoint:
        events = await talk(endpoint, turn(0.4), asked, quiet(1.0), early=True)
    assert not any(before)
    assert events[0] == Heard(HEARD, "en")
    assert "".join(texts(events)) == LONG
    assert endpoint.said == [[SYSTEM, ("user", HEARD)]]


def unanswered() -> AbstractAsyncContextManager[ChatEndpoint]:
    """An endpoint of which the first answer never comes."""
    return chat_endpoint(script([say("Never.", holds={0: asyncio.Event()}), say("Yes.")]))


@pytest.mark.usefixtures("probably_complete")
async def test_speaker_who_goes_on_hears_nothing_of_an_early_answer() -> None:
    late = say("Never. Not at all.", holds={2: asyncio.Event()})
    async with chat_endpoint(script([late, say("Yes.")])) as endpoint:
        rest = lambda _: endpoint.requests, loud(0.4), lambda _: endpoint.closed.is_set(), quiet(1.0)
        events = await talk(endpoint, turn(0.4), *rest, early=True)
    whole = f"{HEARD} w5 w6 w7 w8 w9."
    assert texts(events, Heard) == [whole]
    assert "".join(texts(events)) == "Yes."
    assert endpoint.said[0] == [SYSTEM, ("user", HEARD)] and endpoint.said[-1] == [SYSTEM, ("user", whole)]


@pytest.mark.usefixtures("probably_complete")
async def test_leaving_in_the_pause_ends_an_early_answer() -> None:
    async with unanswered() as endpoint, conversing(endpoint, llm_early=True) as conversation:
        talking = asyncio.ensure_future(anext(conversation.talk(endless(turn(0.4)), RATE)))
        await happens(lambda: endpoint.requests)
        talking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await talking
        await endpoint.closed.wait()


async def test_speech_interrupts_and_the_rest_was_not_heard() -> None:
    async with chat_endpoint(script([say(LONG), say("Yes.")])) as endpoint:
        events = await talk(endpoint, turn(), answered, loud(0.4), quiet(1.0))
    kinds = [type(event) for event in events]
    (interrupted,) = [event for event in events if isinstance(event, Interrupted)]
    assert kinds.index(Answered) < kinds.index(Interrupted)
    assert LONG.startswith(interrupted.text) and interrupted.text != LONG
    # Of an answer of which nothing was heard the model is told nothing.
    told = [text for role, text in endpoint.said[1] if role == "assistant"]
    assert told == ([interrupted.text] if interrupted.text else [])


@pytest.mark.parametrize(
    ("words", "voice_s", "said"),
    [
        ((*QUESTION, "", "", ""), 0.24, " ".join(QUESTION)),  # a cough: it has no words
        ((), 0.4, f"{HEARD}\nw5 w6 w7 w8 w9."),
    ],
)
async def test_answer_that_has_not_sounded_is_dropped_as_the_user_goes_on(
    words: Sequence[str], voice_s: float, said: str
) -> None:
    async with unanswered() as endpoint:
        rest = lambda _: endpoint.closed.is_set(), quiet(1.0), answered
        events = await talk(
            endpoint, turn(1.04), lambda _: endpoint.requests, loud(voice_s), *rest, words=words
        )
    assert endpoint.said[0] == [SYSTEM, ("user", said.partition("\n")[0])]
    assert len(endpoint.said) == 2 and endpoint.said[1] == [SYSTEM, ("user", said)]
    assert "".join(texts(events)) == "Yes."
    assert not any(isinstance(event, Interrupted) for event in events)


@pytest.mark.parametrize("last", ["Mhm.", "Stop."])
async def test_word_interrupts_but_no_listener(last: str) -> None:
    async with chat_endpoint(script([say(LONG), say("Yes.")])) as endpoint:
        words = (*QUESTION, last, "", "")
        events = await talk(endpoint, turn(), answered, loud(0.24), quiet(1.0), words=words)
    heard, told = texts(events, Heard), "".join(texts(events))
    if last == "Mhm.":
        assert (heard, told) == (["What is it like now?"], LONG)
    else:
        assert heard == ["What is it like now?", "Stop."] and told.endswith("Yes.")
    assert any(isinstance(event, Interrupted) for event in events) == (last == "Stop.")


@pytest.mark.parametrize("broken", [Answer(status=404, error={"error": "model not found"}), Answer()])
async def test_failure_is_an_event_and_the_conversation_goes_on(broken: Answer) -> None:
    async with chat_endpoint(script([broken, say("Yes.")])) as endpoint:
        assert answered(await talk(endpoint, turn(), partial(answered, kind=NoAnswer), turn()))
        (*_, last) = await talk(endpoint, turn(), voice="nobody")
    assert isinstance(last, NoAnswer) and "nobody" in last.reason


async def test_turn_ends_though_the_recognition_lags() -> None:
    async with chat_endpoint(lambda _: say("Yes.")) as endpoint:
        assert (await talk(endpoint, turn(3.0), answered))[0] == Heard(HEARD, "en")


async def test_slow_reader_still_learns_what_was_understood() -> None:
    reading, third = asyncio.Event(), asyncio.Event()

    async def audio() -> AsyncIterator[Samples]:
        for number in (1, 2, 3):
            yield turn(1.04)
            await happens(lambda number=number: len(endpoint.requests) >= number)
            await reading.wait()
        third.set()

    heard = []
    async with chat_endpoint(lambda _: say(LONG)) as endpoint, conversing(endpoint) as conversation:
        async for event in conversation.talk(audio(), RATE):
            if isinstance(event, Answered):
                reading.set()
                await third.wait()
            heard += texts([event], Heard)
    assert heard == [HEARD, "w5 w6 w7 w8 w9.", "w10 w11 w12 w13 w14."]


async def test_failed_recognition_ends_the_talk_though_the_audio_goes_on() -> None:
    ears = PausingRecognizer(breaks_above=0.5)
    async with (
        chat_endpoint(lambda _: say(f"{LONG} " * 20)) as endpoint,
        conversing(endpoint, ears) as talking,
    ):
        with pytest.raises(EngineFailed):
            assert [event async for event in talking.talk(endless(turn(), loud(0.4, level=0.9)), RATE)]


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
    async with chat_endpoint(lambda _: say(f"{LONG} " * 20)) as endpoint, conversing(endpoint) as talking:
        async with aclosing(talking.talk(endless(turn()), RATE)) as events:
            await anext(event async for event in events if isinstance(event, Answered))
