"""Speech that recognisers repeat or lose: joined, said again, accented, or with slow passes."""

import asyncio

import numpy as np
import pytest

from benchmarks.recognition.hard_recordings import Speaker, joined
from benchmarks.recognition.repeats import hear, letters
from kani.core.recognizer import STEP_S, RecognizedWord
from kani.core.types import Samples
from kani.engines.whisper import live_pass, plausibility
from kani.engines.whisper.engine import WhisperRecognizer
from kani.engines.whisper.live_pass import transcribe
from kani.runtime.recognition.passes import PassResult
from kani.runtime.recognition.stream import STEP_SAMPLES, RecognitionStream
from tests.engines.whisper.conftest import silence
from tests.engines.whisper.test_engine import at_speaking_pace, recognized, text
from tests.judges.judge import edit_distance, word_error_rate, words_of

pytestmark = [pytest.mark.heard, pytest.mark.asyncio(loop_scope="session")]

ANA = ("Hola, me llamo Ana.", "Vivo en una casa pequeña cerca del puerto, y trabajo en la biblioteca.")
ANA_IN_BRAZIL = ("Olá, meu nome é Ana.", "Moro em uma casa pequena perto do porto.")
NO_PROBLEM = ("Sem problema.", "Você pode devolver o livro na semana que vem.")
WEATHER = "This is an English sentence about the weather in London."
YOU_SAID = "You said: the quick brown fox jumps over the lazy dog. That is a fine sentence."
RAIN = "Tonight it will rain in the mountains."
TABLE = "I would like to book a table for four people."
BOLOGNA = (
    "Il treno per Bologna parte dal binario sette.",
    "Mio fratello ripara vecchie biciclette nel suo garage.",
)
STREET = ("Thank you.", "We have lived in this street since last autumn.")
COUNT = "One, two, three, four."

WAYS = ("file", "file, no language", "live", "live, no language")


async def test_speech_of_an_accent_is_not_answered_in_another_language(
    recognizer: WhisperRecognizer, speaker: Speaker
) -> None:
    """A Spanish voice; the English answer does not end by itself, and Hindi's is its opening ("नमस्ते")."""
    pieces = [await speaker.say(part, "em_santa", "en") for part in STREET]
    for way in WAYS:
        heard = await hear(recognizer, joined(pieces, 0.25), way, "en")
        assert word_error_rate(" ".join(STREET), heard, "en") <= 0.1, (way, heard)


async def test_wrong_guess_of_language_loses_nothing(recognizer: WhisperRecognizer, speaker: Speaker) -> None:
    """Its first second is Arabic to Whisper."""
    spoken = joined([await speaker.say(part, "em_alex", "es") for part in ANA], 0.3)
    whole = " ".join(ANA)
    for way in ("file, no language", "live, no language"):
        heard = await hear(recognizer, spoken, way, "es")
        assert word_error_rate(whole, heard, "es") <= 0.1, (way, heard)
    live = text(await recognized(recognizer, at_speaking_pace(recognizer, spoken, silence(1))))
    assert word_error_rate(ANA[1], live, "es") <= 0.35, live


@pytest.mark.parametrize(("said", "times", "gap_s"), [(YOU_SAID, 2, 0.04), (TABLE, 2, 0.03), (COUNT, 3, 0.3)])
@pytest.mark.parametrize("way", WAYS)
async def test_repeated_speech_is_written_as_often_as_it_was_said(
    recognizer: WhisperRecognizer, speaker: Speaker, said: str, times: int, gap_s: float, way: str
) -> None:
    spoken = joined([await speaker.say(said, "af_heart", "en")] * times, gap_s)
    heard = await hear(recognizer, spoken, way, "en")
    # Whisper may write "1-2-3".
    assert words_of(heard.replace("-", " "), "en") == words_of(said, "en") * times


async def test_left_out_opening_is_written(recognizer: WhisperRecognizer, speaker: Speaker) -> None:
    pieces = [await speaker.say(text, "pf_dora", "pt") for text in ANA_IN_BRAZIL]
    pieces += [await speaker.say(text, "pm_alex", "pt") for text in NO_PROBLEM]
    heard = await hear(recognizer, joined(pieces, 0.03), "file", "pt")
    # Its other words are misheard.
    assert words_of(heard, "pt").count("nome") == 1 and heard.endswith("semana que vem."), heard


async def test_speech_beyond_the_longest_answer_is_not_lost(
    recognizer: WhisperRecognizer, speaker: Speaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in scripts of several tokens a letter; here by a shorter limit."""
    for module in (live_pass, plausibility):
        monkeypatch.setattr(module, "MAX_TOKENS", 12)
    spoken = joined([await speaker.say(YOU_SAID, "af_heart", "en")], 0)
    heard = await hear(recognizer, spoken, "live", "en")
    assert word_error_rate(YOU_SAID, heard, "en") <= 0.15, heard


@pytest.mark.parametrize("way", WAYS)
async def test_echo_takes_no_words_of_the_sentence_before_it(
    recognizer: WhisperRecognizer, speaker: Speaker, way: str
) -> None:
    """Whisper's answer has this sentence twice, and the alignment left its last words no time."""
    spoken = joined([await speaker.say(RAIN, "pf_dora", "en")], 0)
    assert words_of(await hear(recognizer, spoken, way, "en"), "en") == words_of(RAIN, "en")


@pytest.mark.parametrize("way", WAYS)
async def test_accents_are_written_once(recognizer: WhisperRecognizer, speaker: Speaker, way: str) -> None:
    spoken = joined([await speaker.say(WEATHER, "zf_xiaoxiao", "en")], 0)
    heard = await hear(recognizer, spoken, way, "en")
    # With single words misheard ("a English", "water"): a sentence twice would be an error rate of 1.
    assert word_error_rate(WEATHER, heard, "en") <= 0.3, heard


@pytest.mark.parametrize(
    ("voice", "language", "said", "written", "way"),
    [
        # The language is certain, though not given: short words are less probable than sentences.
        ("ff_siwis", "fr", "Eh bien, oui.", "oui", "live, no language"),
        # "Buenas si" is improbable, a wider search finds better.
        ("em_santa", "es", "Bueno, sí.", "bueno", "live"),
        # Its only token ends early in the alignment: what follows is no second word.
        ("jm_kumo", "ja", "ありがとうございます。", "ありがとうございます", "live"),
    ],
)
async def test_short_sentence_is_written_once(
    recognizer: WhisperRecognizer,
    speaker: Speaker,
    voice: str,
    language: str,
    said: str,
    written: str,
    way: str,
) -> None:
    spoken = joined([await speaker.say(said, voice, language)], 0)
    heard = await hear(recognizer, np.concatenate([spoken, silence(1)]), way, language)
    assert heard.lower().count(written) == 1, heard
    if language == "ja":
        assert letters(heard) == letters(said)


async def test_sentence_that_an_answer_leaves_out_at_its_beginning_is_written_live(
    recognizer: WhisperRecognizer, speaker: Speaker
) -> None:
    """Whisper's answer to these two voices begins with the second sentence."""
    voices = ("im_nicola", "if_sara")
    pieces = [await speaker.say(text, voice, "it") for text, voice in zip(BOLOGNA, voices, strict=True)]
    heard = await hear(recognizer, joined(pieces * 2, 0.06), "live", "it")
    assert words_of(heard, "it").count("garage") == 2 and words_of(heard, "it").count("treno") == 2, heard


async def test_same_bytes_give_the_same_words(recognizer: WhisperRecognizer, speaker: Speaker) -> None:
    """Also where other recordings are transcribed at the same time."""
    recordings: list[Samples] = []
    for voice, said, language in (("zf_xiaoxiao", WEATHER, "en"), ("em_alex", ANA[1], "es")):
        recordings.append(joined([await speaker.say(said, voice, language)] * 2, 0.1))

    async def all_at_once() -> list[str]:
        ways = ((samples, way) for samples in recordings for way in WAYS[:2])
        return await asyncio.gather(*(hear(recognizer, samples, way, "en") for samples, way in ways))

    first, *others = [await all_at_once() for _ in range(3)]
    assert others == [first, first]


SAID = {
    "birds": (
        "en",
        "af_heart",
        "The birds are singing in the garden this morning. What shall we talk about today?",
    ),
    "train": (
        "en",
        "af_heart",
        "Good morning, the train to the mountains leaves from the other platform today. "
        "Please take your bags with you.",
    ),
    "table": (
        "es",
        "ef_dora",
        "Ahora vamos a poner la mesa para toda la familia. "
        "El médico me recomendó caminar media hora todos los días.",
    ),
}
PASSES_S = (0.15, 0.4, 0.5, 0.65, 1.0)


class Listening:
    """Live speech at real time, by a clock of its own; each pass takes ``pass_s`` seconds of it."""

    def __init__(self, recognizer: WhisperRecognizer, pass_s: float) -> None:
        self.now_s = 0.0
        self._whisper = recognizer._whisper
        self._pass_s = pass_s
        self._stream = RecognitionStream(recognizer._detector.stream(), None, clock=lambda: self.now_s)
        self._running: tuple[float, PassResult] | None = None  # when it ends

    def hear(self, samples: Samples) -> str:
        """Return the words of a stream that ends after ``samples``."""
        for number, at in enumerate(range(0, len(samples), STEP_SAMPLES), 1):
            self._pass_time(number * STEP_S)
            while self._stream.full:
                self._end_pass()
            self._stream.feed(samples[at : at + STEP_SAMPLES])
        self._stream.end()
        while not self._stream.finished:
            self._end_pass()
        return " ".join(event.text for event in self._stream.events if isinstance(event, RecognizedWord))

    def _pass_time(self, until_s: float) -> None:
        self._begin_pass()
        while self._running is not None and self._running[0] <= until_s:
            self._end_pass()
        self.now_s = max(self.now_s, until_s)

    def _begin_pass(self) -> None:
        if self._running is None and self._stream.pass_due:
            self._running = self.now_s + self._pass_s, transcribe(self._whisper, self._stream.begin_pass())

    def _end_pass(self) -> None:
        """Go on to the end of the pass that runs or is due, and begin the next one."""
        self._begin_pass()
        assert self._running is not None
        ends_s, result = self._running
        self.now_s, self._running = max(self.now_s, ends_s), None
        self._stream.finish_pass(result)
        self._begin_pass()


@pytest.mark.parametrize("name", SAID)
async def test_no_word_is_lost_or_repeated_however_long_a_pass_takes(
    recognizer: WhisperRecognizer, speaker: Speaker, name: str
) -> None:
    language, voice, text = SAID[name]
    speech = joined([silence(0.3), await speaker.say(text, voice, language), silence(1)], 0)
    for pass_s in PASSES_S:
        heard = words_of(Listening(recognizer, pass_s).hear(speech), language)
        said = words_of(text, language)
        # One word may be heard as another: the speech differs in its last bits with the number of threads.
        assert len(heard) == len(said), (pass_s, heard)
        assert edit_distance(said, heard) <= 1, (pass_s, heard)
