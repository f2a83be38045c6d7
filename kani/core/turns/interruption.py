"""Decides if a voice over an answer interrupts it, for everything that answers.

A word does, or a voice that goes on. A listener's "mhm", a cough, other noises and the answer's own echo do
not. See docs/conversation.md.
"""

import enum
from collections import deque
from collections.abc import Callable, Collection, Iterable
from itertools import chain

import numpy as np

from kani.core.recognizer import STEP_S, RecognizedWord, Step
from kani.core.turns.unfinished_words import by_language
from kani.core.turns.words import plain
from kani.core.types import Samples

_SOUNDS = """
ah aha aham ahem ahh eh hm hmm hmmm hum mhm mhmm mm mmhm mmhmm mmm mmmm oh ohh ooh uh uhhuh uhuh uhum um umhum
wow mjm mju ajá aja
"""

_WORDS = """
en yes yeah yep yup ya right okay ok k alright sure true exactly indeed good great nice cool i see got it
es sí si ya ok okey okay vale bueno bien claro cierto exacto entiendo entendido eso genial perfecto verdad
fr oui ouais ok okay d'accord bien bon sûr voilà exact exactement vrai hein ah
it sì si già ok okay certo bene bravo esatto vero capito giusto ecco
pt sim tá ok okay certo bem bom claro exato verdade entendi isso pois é
de ja jaja ok okay genau gut klar stimmt richtig ach so achso aha verstehe
hi हाँ हां हा हम्म अच्छा ठीक है जी सही ओके
zh 嗯 嗯嗯 哦 噢 啊 对 对对 好 好的 是 是的 没错 行
ja うん うんうん ん はい ええ へえ へー ほう おお ああ そう そうそう そうですね なるほど
"""

MOST_WORDS = 4
"""More words than this are no listener's sound, whatever they are."""

_LONG_ENOUGH = 4
"""Letters of a word that may be misheard by one."""

_ALIKE = str.maketrans("vcqgzdáéíóú", "bkkkstaeiou")
"""Letters that are confused, as a voiced sound with its unvoiced one; an accent is not heard."""

_ANY = frozenset(_SOUNDS.split())
_BY_LANGUAGE = {language: _ANY | words for language, words in by_language(_WORDS).items()}


def is_backchannel(words: Iterable[str], language: str) -> bool:
    """Return True if there are ``words``, and they only show that a person listens.

    language: primary subtag; of an unknown one only sounds such as "mhm" count.
    """
    known = _BY_LANGUAGE.get(language, _ANY)
    # Recognisers write "Mm-hmm" and "sí,sí" as one word.
    parts = [*chain.from_iterable(_parts(word) for word in words)]
    return 0 < len(parts) <= MOST_WORDS and all(_is_one_of(part, known) for part in parts)


def _is_one_of(word: str, known: Collection[str]) -> bool:
    """Return True if a word is known, or sounds like a long enough one but for a letter."""
    if word in known:
        return True
    heard = _sound(word)
    alike = [other for other in map(_sound, known) if len(other) == len(heard) >= _LONG_ENOUGH]
    return any(sum(map(str.__ne__, heard, other)) <= 1 for other in alike)


def _sound(word: str) -> str:
    """Return a word by its sounds, without a plural's ending: "vale" by itself is heard as "bales"."""
    return (word.removesuffix("s") if len(word) > _LONG_ENOUGH else word).translate(_ALIKE)


def _parts(word: str) -> list[str]:
    """Return the parts of a word: joined by a hyphen they are one sound, or several words."""
    bare = plain(word)
    joined = bare.replace("-", "")
    if joined in _ANY:
        return [joined]
    return [part for part in map(plain, bare.replace("-", " ").replace(",", " ").split()) if part]


LIKELY = 0.6
"""Probability of a 2 s pause from which on all words before it are known (``Recognizer.recognize``)."""

SAID_S = 0.3
"""Seconds of voice in which something was said, though no word is recognised; a cough has less."""

VOICE = 0.5
"""Least probability of a voice."""

VOICE_S = 0.6
"""Seconds of voice that interrupt before its words are known: "sí, sí" has less."""

SOUNDING_S = 0.35
"""Seconds that are enough for a voice that sounds on. A listener's word fades by then, and "mhm" is a hum."""

_FADED, _MOMENTS = 0.25, 5  # power of a fading voice, relative to its loudest moment of so many
_HUM_HZ, _HUM = 600, 0.03  # pitch, and the most of its power that a hum has above it

RECENT_STEPS = 12
"""Steps (0.96 s) within which ``VOICE_S`` counts: on a busy machine no pause ends a stretch, and a listener's
separate sounds would add up."""

WORD_S = 0.15
"""Least seconds of voice of a word: recognisers hear words in coughs as well."""

NOTHING_S = 0.2
"""Seconds of silence after which a voice without words was nothing."""


class Verdict(enum.Enum):
    """Knowledge about a voice over an answer."""

    OPEN = enum.auto()  # nothing is known yet
    INTERRUPTS = enum.auto()  # it interrupts
    NOTHING = enum.auto()  # it was nothing, and has ended


class VoiceOverAnswer:
    """Judges one stretch of voice over an answer, from its first step on; times are the recogniser's."""

    def __init__(self, is_echo: Callable[[Samples, int], bool], sample_rate: int) -> None:
        """is_echo: returns whether audio is the answer's own, come back; sample_rate: hertz of the audio."""
        self._is_echo = is_echo
        self._rate = sample_rate
        self._sounds_on = False
        self.echo_until_s = 0.0  # end of the answer's echo so far
        self._silence_s = 0.0
        self._recent_s = deque[float](maxlen=RECENT_STEPS)
        self.words: list[RecognizedWord] = []  # words so far that are not of an echo
        self.voiced_s = 0.0  # seconds of voice so far that are not the answer's echo
        self.told = False  # True once the listener was told of it

    def is_of_echo(self, word: RecognizedWord) -> bool:
        """Return True if a word was heard in the answer's echo."""
        return (word.start_s + word.end_s) / 2 <= self.echo_until_s

    def add_word(self, word: RecognizedWord) -> None:
        """Take a word of the stretch; those of an echo do not count."""
        if not self.is_of_echo(word):
            self.words.append(word)

    def judge(self, step: Step, heard: Callable[[], Samples]) -> Verdict:
        """Return what is known after a step; heard: returns the last ``HEARD_S`` of audio until its end."""
        now_s = (step.index + 1) * STEP_S
        voiced_s = step.voiced_s(VOICE)
        if voiced_s and self._is_echo(heard(), self._rate):
            self.echo_until_s = now_s
            self.words.clear()
            voiced_s = 0.0
        self.voiced_s += voiced_s
        self._recent_s.append(voiced_s)
        enough = voiced_s > 0 and sum(self._recent_s) >= SOUNDING_S
        self._sounds_on = enough and sounds_on(heard(), self._rate)
        self._silence_s = 0.0 if voiced_s else self._silence_s + STEP_S
        if self.interrupts:
            return Verdict.INTERRUPTS
        silent = self._silence_s >= NOTHING_S
        return Verdict.NOTHING if silent and words_are_known(step) else Verdict.OPEN

    @property
    def interrupts(self) -> bool:
        """True if there is a word so far, or enough voice, that is more than a listener's."""
        if not self.words or self.voiced_s < WORD_S:
            return self._sounds_on or sum(self._recent_s) >= VOICE_S
        return not is_backchannel([word.text for word in self.words], self.words[-1].language)


def words_are_known(step: Step) -> bool:
    """Return True if every word that was spoken so far has come; a recogniser may tell it by pauses only."""
    return step.settled or step.pause_probabilities[2] >= LIKELY


def sounds_on(heard: Samples, sample_rate: int) -> bool:
    """Return True if a voice neither fades nor hums; heard: the last ``HEARD_S`` seconds with it."""
    powers = [float(np.square(moment).sum()) for moment in np.array_split(heard, _MOMENTS)]
    if powers[-1] <= _FADED * max(powers):
        return False
    spectrum = np.square(np.abs(np.fft.rfft(heard)))[1:]
    above = spectrum[round(_HUM_HZ * len(heard) / sample_rate) :]
    return float(above.sum()) > _HUM * float(spectrum.sum())
