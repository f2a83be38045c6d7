"""A conversation: its items, what a language model is told of it, its turns, and the echo of its answers."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest
import soxr

from kani.core.chat_model import ChatMessage, ToolCall
from kani.core.conversation import echo, history, prompt
from kani.core.conversation.echo import HEARD_S, LATEST_S, AnswerAudio
from kani.core.conversation.history import MAX_ITEMS, History
from kani.core.conversation.items import FunctionCall, FunctionOutput, Item, Message, Part, Role, SpokenText
from kani.core.conversation.prompt import chat_messages
from kani.core.conversation.turns import (
    Patience,
    TurnMachine,
    TurnRule,
    TurnStarted,
    TurnState,
    TurnStopped,
    VoiceChange,
)
from kani.core.errors import Busy
from kani.core.recognizer import STEP_S, RecognizedWord, Step
from kani.core.session.budget import Budget
from kani.core.types import Samples, Span
from tests.support.event_loop import settle
from tests.support.patience import WITHIN_S


def item(name: str, characters: int = 0, *, pending: bool = False) -> Message:
    return Message(name, "user", (Part("text", "x" * characters),), pending=pending)


def ids(of: History) -> list[str]:
    return [each.id for each in of.items]


@pytest.fixture(autouse=True)
def few_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MAX_CHARACTERS", 10_000)


def test_oldest_items_go_first() -> None:
    of = History()
    for number in range(MAX_ITEMS + 2):
        of.append(item(str(number)))
    assert ids(of) == [str(number) for number in range(2, MAX_ITEMS + 2)]


def test_conversations_share_memory() -> None:
    """One that has little room keeps its latest items; what has none at all is told."""
    budget = Budget(10_000, "too much text is kept", small=100)
    with budget.share() as first, budget.share() as second:
        one, other = History(first), History(second)
        one.append(item("a", 8000))
        for name in "bcd":
            other.append(item(name, 900))
        assert ids(other) == ["c", "d"] and budget.used <= 10_000
        other.check_room(item("e", 1000))
        with pytest.raises(Busy, match="too much text is kept: try again later"):
            other.check_room(item("e", 3000))
        other.check_room(item("f", 80))
        one.append(item("b", 2500))
        assert ids(one) == ["b"]
    assert budget.used == 0


def test_characters_are_counted_through_every_change() -> None:
    of = History()
    # The name of each part is counted, too.
    for name in "abc":
        of.append(item(name, 2996))
    of.insert_after("a", item("d", 496))
    assert ids(of) == ["a", "d", "b", "c"]
    spoken = Message("e", "assistant")
    of.append(spoken)
    of.change(spoken, parts=(Part("text", "x" * 400),))
    assert ids(of) == ["a", "d", "b", "c", "e"]
    of.change(spoken, parts=(Part("text", "x" * 500),))
    assert ids(of) == ["d", "b", "c", "e"]
    # Outside the conversation it counts for nothing.
    of.change(Message("f", "assistant"), parts=(Part("text", "x" * 9000),))
    of.remove(of.items[1])
    of.append(item("g", 5000))
    assert ids(of) == ["d", "c", "e", "g"]
    of.insert_after(None, item("h"))
    assert ids(of) == ["h", "d", "c", "e", "g"]


async def test_wait_ends_once_all_speech_is_transcribed() -> None:
    of = History()
    first, second = item("a", pending=True), item("b", pending=True)
    of.append(first)
    of.append(second)
    waiting = asyncio.create_task(of.wait_until_settled(of.items))
    of.settle(first)
    await settle()
    assert not waiting.done()
    # A client deletes it: its transcript will come to no item.
    of.remove(second)
    await asyncio.wait_for(waiting, WITHIN_S)


def message(role: Role, text: str | None) -> Message:
    return Message("m", role, (Part("p", text, is_speech=True),))


def written(*items: Item, instructions: str = "") -> list[tuple[str, str]]:
    return [(each.role, each.text) for each in chat_messages(instructions, items)]


def test_instructions_come_first_and_roles_alternate() -> None:
    items = [message("user", "One."), message("user", None), message("user", "Two.")]
    items += [message("assistant", "Three."), message("user", "Four.")]
    rest = [("user", "One.\nTwo."), ("assistant", "Three."), ("user", "Four.")]
    assert written(*items, instructions="Be brief.") == [("system", "Be brief."), *rest]


def test_silence_is_answered_and_is_no_echo() -> None:
    assert written() == [("user", prompt.SILENCE)]
    told = written(message("assistant", "Hi."), instructions="Greet.")
    assert told == [("system", "Greet."), ("assistant", "Hi."), ("user", prompt.SILENCE)]
    silence = np.zeros(WINDOW, np.float32)
    assert not answer(6.0).is_in(silence, HEARD_RATE, 5.0)
    assert not AnswerAudio(RATE).is_in(silence, HEARD_RATE, 0.0)
    assert not answer(6.0).is_in(silence[:0], HEARD_RATE, 5.0)


def test_results_stand_right_after_their_calls() -> None:
    items: list[Item] = [
        message("user", "Weather?"),
        message("assistant", "One moment."),
        FunctionCall("1", "c1", "weather", "{}"),
        FunctionCall("2", "c2", "lost", "{}"),
        FunctionCall("3", "c3", "time", "{}"),
        message("user", "Hurry."),
        FunctionOutput("4", "c3", "noon"),
        FunctionOutput("5", "c1", "sunny"),
        FunctionOutput("6", "c9", "of no call"),
    ]
    calls = (ToolCall("c1", "weather", "{}"), ToolCall("c3", "time", "{}"))
    assert chat_messages("", items) == (
        ChatMessage("user", "Weather?"),
        ChatMessage("assistant", "One moment.", calls),
        ChatMessage("tool", "sunny", call_id="c1"),
        ChatMessage("tool", "noon", call_id="c3"),
        ChatMessage("user", "Hurry."),
    )


def test_only_what_was_heard_of_an_answer_is_told() -> None:
    text, spoken = "One two, three.", SpokenText()
    spans = [(0, 3, 0.0, 0.4), (3, 4, 0.4, 0.5), (4, 7, 0.5, 0.9), (7, 9, 0.9, 1.2), (9, 15, 1.2, 1.8)]
    for span in spans:
        spoken.add(text, Span(*span))
    spoken.duration_s = 1.8
    answer = Message("m", "assistant", (Part("p", text, is_speech=True),), spoken=spoken)
    assert answer.text == text
    heard = []
    for spoken.heard_s in (0.0, 0.1, 0.3, 0.6, 0.8, 1.0, 1.4, 1.6, 1.8):
        heard.append(answer.text)
    assert heard == ["", "", "One", "One", "One two,", "One two,", "One two,", text, text]
    spoken.heard_s = 0.0
    assert written(message("user", "Hm?"), answer, message("user", "Stop.")) == [("user", "Hm?\nStop.")]


RATE, HEARD_RATE = 24_000, 16_000
WINDOW = round(HEARD_S * HEARD_RATE)


def babble(seed: int, seconds: float, rate: int) -> Samples:
    """Noise in the band of a telephone, in syllables; the same sound at every rate."""
    noise = np.random.default_rng(seed).standard_normal(round(seconds * 8000))
    syllables = 1 + np.sin(2 * np.pi * 4 * np.arange(len(noise)) / 8000)
    return soxr.resample(0.1 * noise * syllables, 8000, rate).astype(np.float32)


def answer(seconds: float, played_s: float = 0.0) -> AnswerAudio:
    audio = AnswerAudio(RATE)
    for piece in np.split(babble(0, seconds, RATE), 20):
        audio.add(piece, played_s)
    return audio


@pytest.mark.parametrize("late_s", [-0.2, 0.0, 0.31, 3.0])
def test_echo_of_an_answer_is_recognised(late_s: float) -> None:
    heard = babble(0, 6.0, HEARD_RATE)[: round((5.0 - late_s) * HEARD_RATE)][-WINDOW:]
    noise = np.random.default_rng(2).standard_normal(WINDOW).astype(np.float32)
    assert answer(6.0).is_in(10 ** (-12 / 20) * heard + 0.005 * noise, HEARD_RATE, 5.0)


@pytest.mark.parametrize("level", [1.0, 0.25])
def test_other_voice_is_none(level: float) -> None:
    own = babble(1, 6.0, HEARD_RATE)[:WINDOW]
    played = babble(0, 6.0, HEARD_RATE)[:WINDOW]
    assert not answer(6.0).is_in(level * own, HEARD_RATE, 5.0)
    assert not answer(6.0).is_in(own + 10 ** (-12 / 20) * played, HEARD_RATE, 1.0)  # over the echo


def test_only_what_may_be_heard_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(echo, "MOST_AHEAD_S", 2.0)
    heard = babble(0, 30.0, HEARD_RATE)
    audio = answer(30.0)  # not played yet: after 2 s nothing is kept
    assert audio.is_in(heard[HEARD_RATE:][:WINDOW], HEARD_RATE, 1.5)
    assert not audio.is_in(heard[-WINDOW:], HEARD_RATE, 30.0)
    monkeypatch.setattr(echo, "MOST_AHEAD_S", 120.0)
    audio = answer(30.0, played_s=30.0)
    assert sum(map(len, audio._audio._pieces)) < (LATEST_S + 4) * 8000
    assert audio.is_in(heard[-WINDOW:], HEARD_RATE, 30.0)


NO_PAUSE = (0.0, 0.0, 0.0, 0.0)
SPEECH = Step(0, NO_PAUSE, (0.9, 0.9))
SILENCE = Step(1, (0.2, 0.1, 0.1, 0.1), (0.0, 0.0), settled=True)


def after(silence_s: float, padding_s: float = 0.3) -> TurnRule:
    return TurnRule(Patience(silence_s, silence_s, silence_s, silence_s), padding_s=padding_s)


class Over:
    """An answer that is heard; its echo is whatever is louder than nothing."""

    def holds_voice(self, heard: Samples, sample_rate: int) -> bool:
        return len(heard) <= sample_rate * HEARD_S

    def is_echo(self, heard: Samples, sample_rate: int) -> bool:
        return bool(heard[-sample_rate:].any())


@pytest.mark.parametrize(
    ("voices", "padding_s", "chunks"),
    [
        # A single loud chunk is a click; 0.35 is below the threshold, and above 0.6 of it.
        ((0.9, 0.1, 0.9, 0.9, 0.35, 0.35, 0.1, 0.1, 0.1, 0.1), 0.0, (2, 9)),
        # The padding does not reach into the turn before.
        ((0.9, 0.9, 0.0, 0.0, 0.0, 0.9, 0.9), 0.3, (0, 5, 5)),
    ],
    ids=["soft ends of words", "padding"],
)
def test_turn_has_whole_words(voices: tuple[float, ...], padding_s: float, chunks: tuple[int, ...]) -> None:
    kinds = (TurnStarted, TurnStopped, TurnStarted)
    expected = [kind(pytest.approx(10 + 0.032 * at)) for kind, at in zip(kinds, chunks, strict=False)]
    machine, rule = TurnMachine(RATE, None, 10.0), after(0.096, padding_s)
    assert machine.feed(Step(0, NO_PAUSE, voices), rule) == expected


@pytest.mark.parametrize(
    ("complete", "words", "settled", "silence_s"),
    [
        (True, ["on"], True, 0.2),
        (False, ["on."], True, 1.5),
        (None, ["on."], False, 0.7),
        (None, ["ٹھیک۔"], False, 0.7),
        (None, ["on…"], False, 4.0),
        (None, ["on..."], False, 4.0),
        (None, ["on"], False, 4.0),
        (None, [], True, 0.7),  # a voice without words is not waited for
        (None, [], False, 4.0),
    ],
)
def test_words_end_a_turn(complete: bool | None, words: list[str], settled: bool, silence_s: float) -> None:
    machine = TurnMachine(RATE)
    machine.feed(Step(0, NO_PAUSE, (0.9,) * 10), TurnRule())
    for word in words:
        machine.add_word(RecognizedWord(word, 0.0, 0.3, "en"))
    silent = Step(1, NO_PAUSE, (0.0,), complete=complete, settled=settled)
    quiet_chunks = 0
    while not machine.feed(silent, TurnRule()):
        quiet_chunks += 1
    assert quiet_chunks * 0.032 == pytest.approx(silence_s, abs=0.033)


@pytest.mark.parametrize("before", [[], [replace(SILENCE, settled=True)]], ids=["first", "later"])
def test_turn_goes_on_until_its_words_are_decided(before: list[Step]) -> None:
    rule, machine = replace(after(0.1), waits_for_words=True), TurnMachine(RATE)
    late = replace(SILENCE, settled=False)
    for step in (*before, *[SPEECH] * 30, *[late] * 25):
        machine.feed(step, rule)
    assert machine.state is TurnState.PAUSED
    assert machine.feed(SILENCE, rule) == [TurnStopped(machine.now_s - 0.032)]


def test_long_pause_tells_that_words_are_decided() -> None:
    """A recogniser need not set ``settled``: all words come before a likely pause of 2 s."""
    rule, machine = replace(after(0.1), waits_for_words=True), TurnMachine(RATE)
    for step in (*[SPEECH] * 3, *[replace(SILENCE, settled=False)] * 9):
        machine.feed(step, rule)
    assert machine.state is TurnState.PAUSED
    long = replace(SILENCE, settled=False, pause_probabilities=(1.0, 0.9, 0.6, 0.1))
    assert machine.feed(long, rule) == [TurnStopped(machine.now_s - 0.032)]


def test_words_that_are_known_end_a_pause_without_audio() -> None:
    rule, machine = replace(after(0.1), waits_for_words=True), TurnMachine(RATE)
    late = replace(SILENCE, settled=False)
    for step in (SPEECH, late):
        machine.feed(step, rule)
    assert machine.awaited_s(rule) is None  # the pause is too short
    machine.feed(late, rule)
    spoken_s = machine.awaited_s(rule)
    assert spoken_s is not None and spoken_s == pytest.approx(0.064)
    assert machine.awaited_s(after(0.1)) is None
    assert machine.know_words(spoken_s - 0.01, rule) == []  # words of other speech
    assert machine.know_words(spoken_s, rule) == [TurnStopped(machine.now_s)]
    assert machine.know_words(spoken_s, rule) == [] and machine.awaited_s(rule) is None
    for step in (SPEECH, late, late, SPEECH):
        machine.feed(step, rule)
    assert machine.know_words(9.0, rule) == []  # speech goes on


def paused(silent_steps: int) -> TurnMachine:
    machine = TurnMachine(RATE)
    for step in (SPEECH, *([SILENCE] * silent_steps)):
        machine.feed(step, after(0.5))
    return machine


@pytest.mark.parametrize(
    ("silent_steps", "last", "text", "probable"),
    [
        (3, SILENCE, "Turn it on.", False),  # 0.19 s
        (4, SILENCE, "Turn it on.", True),
        (4, SPEECH, "Turn it on.", False),  # its words are not all decided
        (4, SILENCE, "Turn it on", False),
        (4, SILENCE, "Turn it on and.", False),
        (4, SILENCE, "", False),
        (4, replace(SILENCE, complete=False, completeness=0.49), "Turn it on.", False),
        (4, replace(SILENCE, complete=False, completeness=0.5), "Turn it on.", True),
        (4, replace(SILENCE, complete=False, completeness=0.91), "Turn it on", False),
        (4, replace(SILENCE, complete=False, completeness=0.92), "Turn it on", True),
        (8, SILENCE, "Turn it on.", False),  # the turn has ended
    ],
)
def test_pause_probably_ends_a_turn(silent_steps: int, last: Step, text: str, probable: bool) -> None:
    assert paused(silent_steps).has_probably_ended(last, text.split(), "en") is probable


def test_speech_and_turns_go_on() -> None:
    machine = paused(4)
    assert machine.state is TurnState.PAUSED
    machine.feed(SPEECH, after(0.5))
    assert machine.state is TurnState.SPEAKING and not machine.has_probably_ended(SPEECH, ["on."], "en")
    machine = TurnMachine(RATE, Over(), 3.0, resumed=True)
    assert machine.feed(SPEECH, TurnRule(padding_s=0.0)) == [TurnStarted(3.0)]


def test_word_over_an_answer_interrupts_it_and_is_the_first_of_the_turn() -> None:
    machine = TurnMachine(RATE, Over())
    first = replace(SPEECH, voices=(0.9, 0.9, 0.9))
    assert machine.feed(first, TurnRule()) == [VoiceChange.HEARD]
    assert machine.feed(replace(first, index=1), TurnRule()) == []
    word = RecognizedWord("stop", 0.0, 0.2, "en")
    assert machine.add_word(word)
    (started,) = machine.feed(replace(first, index=2), TurnRule())
    assert started == TurnStarted(0.0, (word,), pytest.approx(9 * 0.032), told=True)
    assert machine.state is TurnState.SPEAKING and not machine.add_word(word)


def test_voices_and_echoes_over_an_answer_may_be_nothing() -> None:
    machine = TurnMachine(RATE, Over())
    machine.feed(SPEECH, TurnRule())
    assert machine.in_turn
    changes = [machine.feed(replace(SILENCE, index=index), TurnRule()) for index in range(1, 5)]
    assert [*filter(None, changes)] == [[VoiceChange.NOTHING]] and machine.state is TurnState.SILENT
    machine = TurnMachine(RATE, Over())
    machine.add_audio(np.ones(RATE, np.float32))
    assert machine.feed(SPEECH, TurnRule()) == []
    assert machine.add_word(RecognizedWord("echo", 0.0, STEP_S, "en"))
    assert machine.dismiss() == [VoiceChange.ECHO]
    assert machine.add_word(RecognizedWord("echo", 0.0, STEP_S, "en"))
    assert not machine.add_word(RecognizedWord("word", 2 * STEP_S, 3 * STEP_S, "en"))
