"""Turns of speech: where speech is, how likely a pause lasts, and whether a voice interrupts an answer."""

import asyncio

import numpy as np
import pytest

from kani.core.errors import EngineUnavailable
from kani.core.recognizer import STEP_S, VOICE_CHUNK_S, RecognizedWord, Step
from kani.core.turns.interruption import Verdict, VoiceOverAnswer, is_backchannel
from kani.core.turns.pause_judge import HEARD_S, TUNING, PauseJudge
from kani.core.turns.recent_audio import RecentAudio
from kani.core.turns.speech_gate import SpeechGate, pause_probabilities
from kani.core.turns.unfinished_words import CLAUSES, PHRASES
from kani.core.turns.words import goes_on, is_reply, plain
from kani.core.types import Samples
from tests.support.tables import rows


def gate_after(*voices: float) -> SpeechGate:
    gate = SpeechGate()
    for voice in voices:
        gate.feed(voice)
    return gate


def silent_for(seconds: float) -> SpeechGate:
    """A gate with speech and then silence of ``seconds``, rounded up to a chunk."""
    return gate_after(*[0.9] * 10, *[0.0] * int(np.ceil(seconds / VOICE_CHUNK_S)))


@pytest.mark.parametrize(
    ("voices", "speaking", "end_chunks"),
    [
        ((0.1, 0.4, 0.1), False, 0),
        ((0.1, 0.99, 0.1, 0.99, 0.1), False, 0),  # clicks
        ((0.1, 0.1, 0.6, 0.6), True, 4),
        ((0.6, 0.6, 0.25, 0.25), True, 4),  # faint chunks go on with speech, and do not begin it
        ((0.6, 0.6, 0.25, 0.19, 0.3, 0.3), False, 3),
    ],
)
def test_speech_begins_with_two_loud_chunks_and_ends_with_the_faint_ones(
    voices: tuple[float, ...], speaking: bool, end_chunks: int
) -> None:
    gate = gate_after(*voices)
    assert gate.speaking is speaking
    assert gate.speech_end_s == pytest.approx(end_chunks * VOICE_CHUNK_S)
    if end_chunks and not speaking:
        assert gate.silence_s == pytest.approx((len(voices) - end_chunks) * VOICE_CHUNK_S)


@pytest.mark.parametrize(("voices", "likely"), [((0.1, 0.4, 0.1), 1), ((0.1, 0.1, 0.6, 0.6), 0)])
def test_pauses_are_certain_before_speech_and_none_in_it(voices: tuple[float, ...], likely: int) -> None:
    gate = gate_after(*voices)
    assert pause_probabilities(gate, sentence_ended=True) == (likely,) * 4
    assert likely or gate.onset_s == pytest.approx(2 * VOICE_CHUNK_S)


@pytest.mark.parametrize(("length", "after_s"), [(0, 0.30), (1, 0.50), (2, 0.70), (3, 1.10)])
def test_pause_becomes_likely_after_its_silence(length: int, after_s: float) -> None:
    early, late = (
        pause_probabilities(silent_for(seconds), sentence_ended=True)[length]
        for seconds in (after_s - 1.01 * VOICE_CHUNK_S, after_s)
    )
    assert early < 0.6 <= late


def test_probabilities_follow_the_silence_the_length_and_the_sentence() -> None:
    ended, inside = (pause_probabilities(silent_for(0.8), sentence_ended=ended) for ended in (True, False))
    assert ended[:2] == inside[:2]
    assert ended[2] > 0.6 > inside[2]
    assert ended[3] > inside[3]
    likely = np.array(
        [pause_probabilities(silent_for(seconds), sentence_ended=False) for seconds in np.arange(0.1, 3, 0.1)]
    )
    assert np.all(np.diff(likely, axis=1) <= 0) and np.all(np.diff(likely, axis=0) >= 0)
    assert likely[-1].min() > 0.99


@pytest.mark.parametrize(("then", "language", "text"), rows(__file__, "sentences.tsv"))
def test_words_tell_whether_a_sentence_goes_on(then: str, language: str, text: str) -> None:
    assert goes_on(text.split(), language) is (then == "goes on")


@pytest.mark.parametrize(
    ("language", "texts", "reply"),
    [
        ("en", "Yes|No, thanks.|Yes, of course!|Stop|Not now.|Tomorrow|At home.", True),
        ("en", "Well.|So|I want.|Turn it|415|B|um|the|no and|I bought.|You see.|When possible.", False),
        ("es", "Sí|Para.|Vale|No, gracias.|El martes.|Por supuesto.", True),
        ("es", "Bueno|A ver|Eh|Quiero|Necesito.|dos 1|Sí, pero|Para…|Ayer compré.|El martes", False),
        ("fr", "Sans sucre.|Très bien!", True),
        ("fr", "Je cherche!|Il dort.", False),
        ("zz", "bla", False),
        ("ja", "はい。", False),
    ],
)
def test_reply_is_a_word_or_two_that_nothing_follows(language: str, texts: str, reply: bool) -> None:
    for text in texts.split("|"):
        assert is_reply(text.split(), language) is reply, text


@pytest.mark.parametrize(
    ("language", "pair"), [(own, pair) for own in PHRASES for pair in sorted(PHRASES[own])]
)
def test_set_phrase_is_a_reply_that_nothing_else_makes_one(
    monkeypatch: pytest.MonkeyPatch, language: str, pair: str
) -> None:
    said = f"{pair.replace('-', ' ')}.".split()
    assert is_reply(said, language) and not is_reply([*said[:-1], said[-1][:-1]], language)
    monkeypatch.setitem(PHRASES, language, frozenset())
    assert not is_reply(said, language)


@pytest.mark.parametrize(
    ("language", "word"), [(own, word) for own in CLAUSES for word in sorted(CLAUSES[own])]
)
def test_word_that_begins_a_clause_begins_no_reply(
    monkeypatch: pytest.MonkeyPatch, language: str, word: str
) -> None:
    assert not is_reply([word, "bla."], language)
    monkeypatch.setitem(CLAUSES, language, frozenset())
    assert is_reply([word, "bla."], language)


def test_words_are_compared_without_marks() -> None:
    assert [plain(text) for text in ("¿Sí?", "Mm-hmm,", "don’t.", "…")] == ["sí", "mm-hmm", "don't", ""]


RATE = 16_000
STEP = round(STEP_S * RATE)
SPEECH_STEPS, SETTLED_AFTER = 12, 4
(_, SURE), (LATER_S, LIKELY), (LAST_S, POSSIBLE) = TUNING.complete


class Model:
    """A model with one answer; None never comes."""

    def __init__(self, answer: float | Exception | None) -> None:
        self.answer = answer
        self.heard: list[Samples] = []

    async def prepare(self) -> None: ...

    async def completeness(self, samples: Samples, sample_rate: int) -> float:
        self.heard.append(samples)
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is None:
            await asyncio.Event().wait()
        assert self.answer is not None
        return self.answer


async def judged(
    model: Model, text: str, *, silent_steps: int = 12, at: int = 0, paused: bool = False
) -> list[Step]:
    """The steps of the silence after ``text``, which is decided after some of them.

    paused: whether there is a pause within the speech.
    """
    judge = PauseJudge(model, RATE, at * STEP)
    gate, steps, chunks = SpeechGate(), list[Step](), 0
    for index in range(at, at + SPEECH_STEPS + silent_steps):
        silent = index - at - SPEECH_STEPS
        judge.add_audio(np.full(STEP, index / 1000, np.float32))
        if silent == SETTLED_AFTER:
            words = text.split()
            for number, word in enumerate(words, 1):
                part_s = (at + SPEECH_STEPS * number / len(words)) * STEP_S
                judge.add_word(RecognizedWord(word, part_s - 0.05, part_s, "en"))
        until = int((index - at + 1) * STEP_S / 0.032 + 1e-9)
        speaks = silent < 0 and not (paused and 2 <= index - at < 6)
        voices = tuple([0.9 * speaks] * (until - chunks))
        chunks = until
        for voice in voices:
            gate.feed(voice)
        pauses = pause_probabilities(gate, sentence_ended=text.endswith("."))
        step = await judge.judge(Step(index, pauses, voices, settled=silent >= SETTLED_AFTER))
        if silent >= 0:
            steps.append(step)
    await judge.aclose()
    return steps


def likely_s(steps: list[Step], index: int = 2) -> float | None:
    likely = [step.pause_probabilities[index] >= 0.6 for step in steps]
    return round((likely.index(True) + 1) * STEP_S, 2) if True in likely else None


async def test_sound_and_words_end_a_turn_once_the_words_are_decided() -> None:
    steps = await judged(Model(SURE), "Turn it on.")
    assert [step.complete for step in steps] == [None] * 4 + [True] * 8
    assert [step.completeness for step in steps] == [None] * 4 + [SURE] * 8
    assert likely_s(steps) == pytest.approx(5 * STEP_S)


@pytest.mark.parametrize(
    ("probability", "text", "after_s"),
    [
        (LIKELY, "Turn it on.", LATER_S),
        (POSSIBLE, "Turn it on.", LAST_S),
        (
            POSSIBLE + TUNING.no_mark + 0.001,
            "Turn it",
            LAST_S,
        ),  # marks are left out at times
        *((0.0, reply, TUNING.reply_s) for reply in ("Yes.", "Stop")),  # however it sounds
    ],
)
async def test_less_sure_turn_or_a_reply_ends_later(probability: float, text: str, after_s: float) -> None:
    steps = await judged(Model(probability), text, silent_steps=18)
    complete = [step.complete for step in steps]
    first = complete.index(True)
    assert complete == [None] * 4 + [False] * (first - 4) + [True] * (18 - first)
    # Silence is counted in chunks of 32 ms, a step may end within one.
    assert 0 <= (first + 1) * STEP_S - after_s < 2 * STEP_S
    assert likely_s(steps) == pytest.approx((first + 1) * STEP_S)


async def test_mark_says_nothing_after_a_pause_within_the_turn() -> None:
    for paused in (False, True):
        steps = await judged(Model(SURE), "Turn it", paused=paused)
        assert steps[4].complete is paused


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        *((SURE, text) for text in ("Turn on the.", "Turn it on and")),
        *((POSSIBLE + TUNING.no_mark - 0.01, "Turn it"), (POSSIBLE - 0.01, "Turn it on.")),
    ],
)
async def test_either_can_say_that_the_speaker_goes_on(probability: float, text: str) -> None:
    steps = await judged(Model(probability), text, silent_steps=22)
    assert {step.complete for step in steps[4:]} == {False}
    assert likely_s(steps) == pytest.approx(1.52)
    # Half a second of silence is a pause of half a second whatever comes after it.
    assert likely_s(steps, 0) == pytest.approx(0.32)


async def test_model_is_asked_once_in_a_pause_about_the_audio_up_to_it() -> None:
    model = Model(SURE)
    steps = await judged(model, "Turn it on.", silent_steps=30, at=100)
    assert [step.complete for step in steps] == [None] * 4 + [True] * 26
    (heard,) = model.heard
    assert heard[-1] == pytest.approx((100 + SPEECH_STEPS + 2) / 1000)
    assert len(heard) == (SPEECH_STEPS + 3) * STEP <= HEARD_S * RATE


async def test_pause_is_judged_by_what_there_is() -> None:
    for answer in (None, EngineUnavailable("the turn model is missing")):
        steps = await judged(Model(answer), "Turn it on.", silent_steps=11)
        assert {step.complete for step in steps} == {None}
        assert likely_s(steps) == pytest.approx(0.72)
    assert {step.complete for step in await judged(Model(SURE), "")} == {None}
    text = " ".join(["word"] * (TUNING.unmarked_words + 1))
    assert (await judged(Model(SURE), text))[-1].complete is True
    assert (await judged(Model(SURE), f"{text} and"))[-1].complete is False


def test_recent_audio_is_joined_and_forgotten_but_for_its_last_seconds() -> None:
    audio = RecentAudio(sample_rate=100, kept_s=2.0, at=50)
    for start in range(50, 1050, 40):
        audio.add(np.arange(start, start + 40, dtype=np.float32))
        audio.forget(start)
    assert sum(map(len, audio._pieces)) < 200 + 2 * 40
    assert audio.before(1000).tolist() == list(range(800 + 10, 1000))
    audio = RecentAudio(sample_rate=100, kept_s=20.0)
    for number in range(1000):
        audio.add(np.full(1, number, np.float32))
    assert len(audio._pieces) == 1000 / 8  # pieces of 80 ms
    assert audio.between(13, 31).tolist() == list(range(13, 31))
    assert audio.between(-5, 3).tolist() == [0, 1, 2] and not len(audio.between(2000, 2005))


VOICE, NOISE, SILENCE = (0.9, 0.8, 0.7), (0.3, 0.6, 0.2), (0.1, 0.0)
OPEN, INTERRUPTS, NOTHING = Verdict.OPEN, Verdict.INTERRUPTS, Verdict.NOTHING
NO_PAUSE = (0.0, 0.0, 0.0, 0.0)
ZEROS = np.zeros(10, np.float32)


def verdicts(*steps: tuple[float, ...] | str, echoes: int = 0, heard: Samples = ZEROS) -> list[Verdict]:
    """What is known after each step: its probabilities, or words that are settled before it.

    echoes: number of the first steps with a voice that are the answer's echo; heard: last of the audio.
    """
    left = iter([True] * echoes)
    voice, found, settled = VoiceOverAnswer(lambda *_: next(left, False), RATE), list[Verdict](), False
    for step in steps:
        if isinstance(step, str):
            at_s = len(found) * 0.08
            for text in step.split():
                voice.add_word(RecognizedWord(text, at_s - 0.2, at_s - 0.1, "es"))
            settled = True
        else:
            found.append(voice.judge(Step(len(found), NO_PAUSE, step, settled=settled), lambda: heard))
    return found


@pytest.mark.parametrize(
    ("steps", "last"),
    [
        ((VOICE,) * 6, OPEN),  # 0.58 s
        ((VOICE,) * 7, INTERRUPTS),
        ((VOICE, VOICE, SILENCE, *[VOICE] * 5), INTERRUPTS),  # with a short pause
        # A listener's separate sounds, which no pause that is known has ended.
        ((VOICE, VOICE, VOICE, *[SILENCE] * 8) * 4, OPEN),
        ((NOISE,) * 12, OPEN),
        ((VOICE, VOICE, SILENCE, SILENCE, SILENCE), OPEN),  # its words are not known yet
        ((VOICE, VOICE, SILENCE, "", SILENCE, SILENCE), NOTHING),  # a cough
        ((VOICE, VOICE, SILENCE, SILENCE, "¡Para!", SILENCE), INTERRUPTS),
        ((VOICE, VOICE, SILENCE, SILENCE, "Ajá, sí.", SILENCE), NOTHING),
        ((VOICE, VOICE, SILENCE, SILENCE, "Sí, pero", SILENCE), INTERRUPTS),
        (((0.9, 0.9, 0.1), SILENCE, SILENCE, "Gracias.", SILENCE), NOTHING),  # a cough, as it is misheard
        # Long, but known to be a listener's.
        ((VOICE, VOICE, VOICE, VOICE, "Mm-hmm.", VOICE, VOICE, SILENCE), OPEN),
    ],
)
def test_word_or_lasting_voice_interrupts(steps: tuple[tuple[float, ...] | str, ...], last: Verdict) -> None:
    *before, found = verdicts(*steps)
    assert (set(before), found) == ({OPEN}, last)


def test_echo_does_not_count_and_probabilities_may_be_missing() -> None:
    assert verdicts(*[VOICE] * 16, echoes=9)[-2:] == [OPEN, INTERRUPTS]
    # The echo's words end in it.
    assert verdicts(*[VOICE] * 9, "¿Quieres café?", SILENCE, SILENCE, SILENCE, echoes=9)[-1] is NOTHING
    voice, silence = VoiceOverAnswer(lambda *_: False, RATE), (0.9, 0.8, 0.7, 0.1)
    assert [voice.judge(Step(n, NO_PAUSE), lambda: ZEROS) for n in range(8)][-2:] == [OPEN, INTERRUPTS]
    voice = VoiceOverAnswer(lambda *_: False, RATE)
    found = [voice.judge(Step(n, NO_PAUSE if n < 2 else silence), lambda: ZEROS) for n in range(5)]
    assert found[-2:] == [OPEN, NOTHING]


def test_voice_that_sounds_on_interrupts_earlier() -> None:
    noise = np.random.default_rng(0).standard_normal(6400).astype(np.float32)
    assert verdicts(*[VOICE] * 4, heard=noise) == [*[OPEN] * 3, INTERRUPTS]
    fading, hum = noise * np.linspace(1, 0, 6400, dtype=np.float32), np.sin(np.arange(6400) / 13)
    assert {*verdicts(*[VOICE] * 6, heard=fading), *verdicts(*[VOICE] * 6, heard=hum)} == {OPEN}


@pytest.mark.parametrize(
    ("texts", "language", "found"),
    [
        ("Mhm.|Uh-huh.", "en", True),
        ("Mm-hmm.", "", True),
        # bale: vale; glados: claro
        ("Ajá.|Sí, sí.|sí,sí|si|bale|bales|glados", "es", True),
        ("うん。", "ja", True),
        ("对。", "zh", True),
        # ¿Quién?: not bien
        ("Oui.|¿Quién?|para", "es", False),
        ("Yeah, but|No.|ok ok ok ok ok|…", "en", False),
    ],
)
def test_words_of_a_listener(texts: str, language: str, found: bool) -> None:
    for text in texts.split("|"):
        assert is_backchannel(text.split(), language) is found, text
