"""Instructions on the manner of speaking, read by a table of words.

No engine of this server follows free text. ``WORDS`` maps what instructions commonly say to an emotion, a
pace or a pitch; everything else has no effect. docs/openai.md shows the table.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

MAX_READ = 4096
"""Characters of instructions that are read; the rest is ignored."""

_NEGATIONS = frozenset("not no never don't dont without avoid sin nada evita".split())
_NEGATION_REACH = 3
"""Words after a negation that it may refer to: "do not sound too cheerful"."""

_STRONGER = frozenset("very really extremely muy super".split())
_STRONGER_POWER = 1.75
"""Exponent of a pace, and factor of a pitch, after such a word."""

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")


@dataclass(frozen=True, slots=True)
class Effect:
    """Effect of a word: an emotion of ``kani.core.emotions``, a factor of the speed, semitones."""

    emotion: str = ""
    pace: float = 1.0
    pitch: float = 0.0


_HAPPY, _SAD, _ANGRY, _EXCITED = Effect("happy"), Effect("sad"), Effect("angry"), Effect("excited")
_CALM, _FRIENDLY, _PROFESSIONAL = Effect("calm"), Effect("friendly"), Effect("professional")
_SLOW, _FAST = Effect(pace=0.85), Effect(pace=1.2)
_DEEP, _HIGH = Effect(pitch=-2.0), Effect(pitch=2.0)

WORDS = {
    word: effect
    for words, effect in (
        ("happy happily cheerful cheerfully joyful joyfully upbeat bright playful alegre feliz", _HAPPY),
        ("sad sadly melancholic melancholy mournful somber sombre sorrowful gloomy triste", _SAD),
        ("angry angrily furious annoyed irritated enojado enfadado furioso", _ANGRY),
        ("excited excitedly enthusiastic energetic energetically lively thrilled", _EXCITED),
        ("emocionado entusiasta animado", _EXCITED),
        ("calm calmly soothing gentle gently relaxed relaxing soft softly serene peaceful", _CALM),
        ("tranquilo tranquila calmado sereno suave", _CALM),
        ("friendly warm warmly kind kindly welcoming empathetic compassionate amable cálido", _FRIENDLY),
        ("professional professionally formal formally serious neutral authoritative", _PROFESSIONAL),
        ("profesional serio", _PROFESSIONAL),
        ("slow slowly slower unhurried lento lentamente despacio", _SLOW),
        ("fast faster quick quickly rapid rapidly brisk briskly rápido rápidamente deprisa", _FAST),
        ("deep deeper grave", _DEEP),
        ("agudo", _HIGH),
    )
    for word in words.split()
}
"""Effect of each word, in English and Spanish."""

PHRASES = {
    ("low", "pitch"): _DEEP,
    ("lower", "pitch"): _DEEP,
    ("low", "pitched"): _DEEP,
    ("low", "voice"): _DEEP,
    ("high", "pitch"): _HIGH,
    ("higher", "pitch"): _HIGH,
    ("high", "pitched"): _HIGH,
    ("high", "voice"): _HIGH,
}
"""Effect of two words in a row."""


@dataclass(frozen=True, slots=True)
class Style:
    emotion: str | None = None  # a name or blend of ``kani.core.emotions``
    pace: float = 1.0  # factor of the speed
    pitch: float = 0.0  # semitones
    ignored: bool = False  # whether there were instructions, and none of them has an effect


def parse_instructions(text: str | None) -> Style:
    """Read instructions; the strongest pace and pitch count, and emotions are blended evenly."""
    if not text or not text.strip():
        return Style()
    effects = _effects([word.lower().replace("’", "'") for word in _WORD.findall(text[:MAX_READ])])
    emotions = list(dict.fromkeys(effect.emotion for effect in effects if effect.emotion))
    pace = max((effect.pace for effect in effects), key=lambda pace: abs(math.log(pace)), default=1.0)
    pitch = max((effect.pitch for effect in effects), key=abs, default=0.0)
    return Style(",".join(emotions) or None, pace, pitch, ignored=not effects)


def _effects(words: list[str]) -> list[Effect]:
    found: list[Effect] = []
    for at, word in enumerate(words):
        effect = WORDS.get(word) or PHRASES.get((word, words[at + 1] if at + 1 < len(words) else ""))
        if effect is None or not _NEGATIONS.isdisjoint(words[max(0, at - _NEGATION_REACH) : at]):
            continue
        if at and words[at - 1] in _STRONGER:
            effect = Effect(effect.emotion, effect.pace**_STRONGER_POWER, effect.pitch * _STRONGER_POWER)
        found.append(effect)
    return found
