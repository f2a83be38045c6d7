"""Speech that recognisers repeat, lose, double or translate: it is written as often as it was said."""

import asyncio
import io
import wave
from typing import NamedTuple

import numpy as np
import pytest

from benchmarks.recognition.hard_recordings import Speaker, joined
from benchmarks.recognition.repeats import WAYS, hear, letters
from kani.core.audio.recording_file import RecordingFile
from kani.core.recognizer import STEP_S, RecognizedWord
from kani.core.types import Samples
from kani.engines.whisper import live_pass, plausibility, recording_pass
from kani.engines.whisper.engine import WhisperRecognizer
from kani.engines.whisper.live_pass import transcribe
from kani.protocols.wyoming.events import AudioFormat
from kani.protocols.wyoming.recognition import mono
from kani.runtime.recognition.passes import PassResult
from kani.runtime.recognition.recording_chunks import ChunkCutter
from kani.runtime.recognition.stream import STEP_SAMPLES, RecognitionStream
from kani.runtime.voice_detector import VoiceDetector
from tests.engines.whisper.conftest import RATE, silence
from tests.engines.whisper.test_recordings import text_of, transcribed
from tests.judges.judge import edit_distance, word_error_rate, words_of

pytestmark = [pytest.mark.heard, pytest.mark.asyncio(loop_scope="session")]

FILE, FILE_DETECTED, LIVE, LIVE_DETECTED = WAYS
FILES = (FILE, FILE_DETECTED)
ANA = "Hola, me llamo Ana.|Vivo en una casa pequeña cerca del puerto, y trabajo en la biblioteca."
WEATHER = "This is an English sentence about the weather in London."
YOU_SAID = "You said: the quick brown fox jumps over the lazy dog. That is a fine sentence."
BOLOGNA = {
    "im_nicola": "Il treno per Bologna parte dal binario sette.",
    "if_sara": "Mio fratello ripara vecchie biciclette nel suo garage.",
}
MEETING = {
    "am_michael": "Good afternoon, and welcome to our weekly meeting. Today we will talk about the garden, "
    "the new library and the school bus.",
    "bf_emma": "Thank you. The garden has grown a lot this spring.",
}


class Spoken(NamedTuple):
    """Sentences ("one|two") by their voices, ``gap_s`` apart."""

    language: str
    said: dict[str, str]
    times: int = 1
    gap_s: float = 0.0
    wrong: float = 0.0  # share of the words that may be misheard
    ways: tuple[str, ...] = WAYS

    async def by(self, speaker: Speaker) -> Samples:
        parts = [
            await speaker.say(sentence, voice, self.language)
            for voice, sentences in self.said.items()
            for sentence in sentences.split("|")
        ]
        return joined(parts * self.times, self.gap_s)


WRITTEN = {
    # A Spanish voice; the English answer does not end by itself, and Hindi's is its opening ("नमस्ते").
    "accent": Spoken(
        "en", {"em_santa": "Thank you.|We have lived in this street since last autumn."}, 1, 0.25, 0.1
    ),
    # Its first second is Arabic to Whisper.
    "guess": Spoken("es", {"em_alex": ANA}, 1, 0.3, 0.1, (FILE_DETECTED, LIVE_DETECTED)),
    "twice": Spoken("en", {"af_heart": YOU_SAID}, 2, 0.04),
    "table": Spoken("en", {"af_heart": "I would like to book a table for four people."}, 2, 0.03),
    "count": Spoken("en", {"af_heart": "One, two, three, four."}, 3, 0.3),
    "another count": Spoken("en", {"am_michael": "One, two, three, four."}, 3, 0.3, ways=FILES),
    "compte": Spoken("fr", {"ff_siwis": "Un, deux, trois, quatre."}, 4, 0.5, ways=FILES),
    # Whisper's answer has this sentence twice, and the alignment left its last words no time.
    "echo": Spoken("en", {"pf_dora": "Tonight it will rain in the mountains."}),
    # With single words misheard ("a English", "water"): a sentence twice would be an error rate of 1.
    "weather": Spoken("en", {"zf_xiaoxiao": WEATHER}, wrong=0.3),
    # Another voice that answers.
    "meeting": Spoken("en", MEETING, 1, 0.4, 0.15, FILES),
    "not yet": Spoken("it", BOLOGNA | {"if_sara": "Non ancora."}, 1, 0.4, 0.15, FILES),
    **{
        answer: Spoken(language, {voice: said, other: answer}, 1, 0.5, 0.15, FILES)
        for language, voice, said, other, answer in (
            ("en", "af_heart", "The results of the third experiment were good.", "am_michael", "Yes."),
            ("en", "bf_emma", "My sister has just moved into a new flat.", "bm_george", "Thank you."),
            ("es", "em_alex", "La farmacia de la esquina cierra a las nueve.", "ef_dora", "Gracias."),
        )
    },
}


@pytest.mark.parametrize(("name", "way"), [(name, way) for name, one in WRITTEN.items() for way in one.ways])
async def test_speech_is_written_as_often_as_it_was_said(
    recognizer: WhisperRecognizer, speaker: Speaker, name: str, way: str
) -> None:
    spoken = WRITTEN[name]
    heard = await hear(recognizer, await spoken.by(speaker), way, spoken.language)
    # Whisper may write "1-2-3".
    heard = heard.replace("-", " ")
    said = " ".join([*spoken.said.values()] * spoken.times).replace("|", " ")
    assert word_error_rate(said, heard, spoken.language) <= spoken.wrong, heard
    if len(spoken.said) > 1:
        assert words_of(heard, spoken.language)[-1] == words_of(said, spoken.language)[-1], heard


@pytest.mark.parametrize(
    ("spoken", "way", "counts"),
    [
        (
            Spoken(
                "pt",
                {
                    "pf_dora": "Olá, meu nome é Ana.|Moro em uma casa pequena perto do porto.",
                    "pm_alex": "Sem problema.|Você pode devolver o livro na semana que vem.",
                },
                gap_s=0.03,
            ),
            FILE,
            # Its other words are misheard.
            {"nome": 1},
        ),
        # Whisper's answer to these two voices begins with the second sentence.
        (Spoken("it", BOLOGNA, 2, 0.06), LIVE, {"garage": 2, "treno": 2}),
    ],
    ids=["pt", "it"],
)
async def test_sentence_that_an_answer_leaves_out_at_its_beginning_is_written(
    recognizer: WhisperRecognizer, speaker: Speaker, spoken: Spoken, way: str, counts: dict[str, int]
) -> None:
    heard = words_of(await hear(recognizer, await spoken.by(speaker), way, spoken.language), spoken.language)
    assert {word: heard.count(word) for word in counts} == counts, heard
    assert spoken.language != "pt" or heard[-3:] == ["semana", "que", "vem"]


@pytest.mark.parametrize(
    ("spoken", "way", "limit", "wrong"),
    [
        (Spoken("en", {"af_heart": YOU_SAID}), LIVE, 12, 0.15),
        (Spoken("en", {"af_heart": YOU_SAID}, 2, 0.04), FILE, 14, 0.1),
    ],
    ids=["live", "file"],
)
async def test_speech_beyond_the_longest_answer_is_not_lost(
    recognizer: WhisperRecognizer,
    speaker: Speaker,
    monkeypatch: pytest.MonkeyPatch,
    spoken: Spoken,
    way: str,
    limit: int,
    wrong: float,
) -> None:
    """As in scripts of several tokens a letter; here by a shorter limit."""
    for module in (live_pass, recording_pass, plausibility):
        monkeypatch.setattr(module, "MAX_TOKENS", limit)
    heard = await hear(recognizer, await spoken.by(speaker), way, "en")
    assert word_error_rate(" ".join([YOU_SAID] * spoken.times), heard, "en") <= wrong, heard


@pytest.mark.parametrize(
    ("voice", "language", "said", "once", "way"),
    [
        # The language is certain, though not given: short words are less probable than sentences.
        ("ff_siwis", "fr", "Eh bien, oui.", "oui", LIVE_DETECTED),
        # "Buenas si" is improbable, a wider search finds better.
        ("em_santa", "es", "Bueno, sí.", "bueno", LIVE),
        # Its only token ends early in the alignment: what follows is no second word.
        ("jm_kumo", "ja", "ありがとうございます。", "ありがとうございます", LIVE),
    ],
)
async def test_short_sentence_is_written_once(
    recognizer: WhisperRecognizer, speaker: Speaker, voice: str, language: str, said: str, once: str, way: str
) -> None:
    spoken = joined([await speaker.say(said, voice, language)], 0)
    heard = await hear(recognizer, np.concatenate([spoken, silence(1)]), way, language)
    assert heard.lower().count(once) == 1, heard
    assert language != "ja" or letters(heard) == letters(said)


@pytest.mark.parametrize("said", ["trois", "samedi", "annulé"])
async def test_single_word_is_heard_as_it_was_said(
    recognizer: WhisperRecognizer, speaker: Speaker, said: str
) -> None:
    """As the whole of a reply; before the quietest silence the last one was "Annulez!"."""
    spoken = [silence(0.2), await speaker.say(f"{said.capitalize()}.", "ff_siwis", "fr"), silence(0.2)]
    heard = await hear(recognizer, joined(spoken, 0), FILE, "fr")
    assert words_of(heard, "fr") == [said]


DIGITS = {
    "The code is four two seven, nine nine one.": "427991",
    "My number is five five five, zero one nine nine.": "5550199",
    "Four.": "4",
    "Eight.": "8",
    "Three.": "3",
}


@pytest.mark.parametrize("said", DIGITS)
@pytest.mark.parametrize("bare", [False, True])
async def test_digits_are_written_once(
    recognizer: WhisperRecognizer, speaker: Speaker, said: str, bare: bool
) -> None:
    """bare: without silence around them."""
    spoken = await speaker.say(said, "af_heart", "en")
    heard = await hear(recognizer, spoken if bare else joined([spoken], 0), FILE, "en")
    names = "zero one two three four five six seven eight nine".split()
    written = "".join(str(names.index(word)) if word in names else word for word in words_of(heard, "en"))
    assert "".join(filter(str.isdigit, written)) == DIGITS[said], heard


@pytest.mark.parametrize("gap_s", [0.7, 1.0, 2.5])
async def test_second_language_is_kept(recognizer: WhisperRecognizer, speaker: Speaker, gap_s: float) -> None:
    said = {"en": "The match was cancelled because of the snow.", "es": "Dejé las llaves encima de la mesa."}
    parts = [
        await speaker.say(said["en"], "am_michael", "en"),
        await speaker.say(said["es"], "ef_dora", "es"),
    ]
    segments = await transcribed(recognizer, joined(parts, gap_s))
    for language, sentence in said.items():
        heard = text_of([one for one in segments if one.language == language])
        assert word_error_rate(sentence, heard, language) <= 0.15, segments


async def test_quiet_speech_and_beginnings_are_heard(recognizer: WhisperRecognizer, speaker: Speaker) -> None:
    said = "Please put the blue folder on my desk."
    spoken = joined([await speaker.say(said, "bm_george", "en")], 0)
    quiet = spoken * np.float32(0.001 / np.abs(spoken).max())
    assert words_of(await hear(recognizer, quiet, FILE, "en"), "en") == words_of(said, "en")
    # The detector of voices finds a voice late that nothing comes before.
    spoken = await speaker.say(YOU_SAID, "af_heart", "en")
    cutter = ChunkCutter(VoiceDetector().recording())
    (chunk,) = [*cutter.feed(spoken), *cutter.finish()]
    assert chunk.start < 0  # silence comes before it
    heard = text_of(await transcribed(recognizer, spoken[: RATE // 2], silence(1), language="en"))
    assert words_of(heard, "en")[:1] == ["you"]


async def test_same_bytes_give_the_same_words(recognizer: WhisperRecognizer, speaker: Speaker) -> None:
    """Also where other recordings are transcribed at the same time."""
    recordings = [
        joined([await speaker.say(said, voice, language)] * 2, 0.1)
        for voice, said, language in (
            ("zf_xiaoxiao", WEATHER, "en"),
            ("em_alex", ANA.partition("|")[2], "es"),
        )
    ]

    async def all_at_once() -> list[str]:
        ways = ((samples, way) for samples in recordings for way in FILES)
        return await asyncio.gather(*(hear(recognizer, samples, way, "en") for samples, way in ways))

    first, *others = [await all_at_once() for _ in range(3)]
    assert others == [first, first]


LONG_PASSES = {
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


def live_words(recognizer: WhisperRecognizer, samples: Samples, pass_s: float) -> str:
    """Words of live speech at real time, by a clock of its own; each pass takes ``pass_s`` seconds of it."""
    now_s = 0.0
    running: tuple[float, PassResult] | None = None  # when it ends
    stream = RecognitionStream(recognizer._detector.stream(), None, clock=lambda: now_s)

    def begin_pass() -> None:
        nonlocal running
        if running is None and stream.pass_due:
            running = now_s + pass_s, transcribe(recognizer._whisper, stream.begin_pass())

    def end_pass() -> None:
        """Go on to the end of the pass that runs or is due, and begin the next one."""
        nonlocal running, now_s
        begin_pass()
        assert running is not None
        ends_s, result = running
        now_s, running = max(now_s, ends_s), None
        stream.finish_pass(result)
        begin_pass()

    for number, at in enumerate(range(0, len(samples), STEP_SAMPLES), 1):
        begin_pass()
        while running is not None and running[0] <= number * STEP_S:
            end_pass()
        now_s = max(now_s, number * STEP_S)
        while stream.full:
            end_pass()
        stream.feed(samples[at : at + STEP_SAMPLES])
    stream.end()
    while not stream.finished:
        end_pass()
    return " ".join(event.text for event in stream.events if isinstance(event, RecognizedWord))


@pytest.mark.parametrize("name", LONG_PASSES)
async def test_slow_passes_lose_no_word(recognizer: WhisperRecognizer, speaker: Speaker, name: str) -> None:
    language, voice, sentences = LONG_PASSES[name]
    speech = joined([silence(0.3), await speaker.say(sentences, voice, language), silence(1)], 0)
    said = words_of(sentences, language)
    for pass_s in (0.15, 0.4, 0.5, 0.65, 1.0):
        heard = words_of(live_words(recognizer, speech, pass_s), language)
        # One word may be heard as another: the speech differs in its last bits with the number of threads.
        assert len(heard) == len(said), (pass_s, heard)
        assert edit_distance(said, heard) <= 1, (pass_s, heard)


@pytest.mark.parametrize("other", [-1.0, -0.8, 0.0, 0.5, 1.0])
async def test_channels_that_cancel_each_other_are_not_mixed(other: float) -> None:
    """As of a balanced line that was recorded in stereo."""
    sound = np.sin(np.arange(RATE, dtype=np.float32) / 20) * 0.5
    pcm = (np.stack([sound, sound * other], axis=1) * 32767).astype("<i2").tobytes()
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setparams((2, 2, RATE, 0, "NONE", ""))
        written.writeframes(pcm)
    file.seek(0)
    expected = sound if other < 0 else sound * (1 + other) / 2
    with RecordingFile(file, RATE, 10) as recording:
        read = recording.read()
    for heard in (read, mono(pcm, AudioFormat(RATE, 2, 2))):
        assert heard is not None and np.allclose(heard, expected, atol=1e-3)
