"""Instructions on the manner of speaking, read by a table of words.

No engine of this server follows free text. ``WORDS`` maps what instructions commonly say to an emotion, a
pace or a pitch; everything else has no effect. docs/openai.md shows the table.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

MAX_GIVEN, MAX_READ = 65_536, 4096
"""Characters that are looked at, and that are read of what is no quotation; the rest is ignored."""

_NEGATIONS = frozenset("not no never don't dont without avoid sin nada evita".split())
_NEGATION_REACH = 3
"""Words after a negation that it may refer to: "do not sound too cheerful"."""

_STRONGER = frozenset("very really extremely muy super".split())
_STRONGER_POWER = 1.75
"""Exponent of a pace, and factor of a pitch, after such a word."""

_TAG = re.compile(r"<(/?)([^\W\d][\w.:-]*)(?:\s[^<>]*)?/?>")
_QUOTATION = re.compile(
    "|".join(
        (
            r'"[^"]*"',
            r"＂[^＂]*＂",
            r"`[^`]*`",
            r"„[^„“”]*[“”]",
            r"[“”][^“”]*[“”]",
            r"«[^«»]*»|»[^«»]*«",
            r"‹[^‹›]*›|›[^‹›]*‹",
            r"「[^「」]*」|『[^『』]*』|〝[^〝〞〟]*[〞〟]",
            # These are apostrophes, too.
            r"(?<!\w)[‘‚][^‘‚]*?[’‘](?!\w)",
            r"(?<!\w)'(?=\w)(?:[^']|(?<=\w)'(?=\w))*?'(?!\w)",
        )
    )
)
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
        ("tranquilo calmado sereno suave", _CALM),
        ("friendly warm warmly kind kindly welcoming empathetic compassionate amable cálido", _FRIENDLY),
        ("professional professionally formal formally serious neutral authoritative", _PROFESSIONAL),
        ("profesional serio", _PROFESSIONAL),
        ("slow slowly unhurried lento lentamente despacio", _SLOW),
        ("fast quick quickly rapid rapidly brisk briskly rápido rápidamente deprisa", _FAST),
        ("deep grave", _DEEP),
        ("agudo", _HIGH),
    )
    for word in words.split()
}
"""Effect of each word, in English and Spanish."""

PHRASES = {
    ("low", "pitch"): _DEEP,
    ("low", "pitched"): _DEEP,
    ("low", "voice"): _DEEP,
    ("high", "pitch"): _HIGH,
    ("high", "pitched"): _HIGH,
    ("high", "voice"): _HIGH,
}
"""Effect of two words in a row."""

_ENDINGS = ("ier", "y"), ("dder", "d"), ("er", ""), ("er", "e"), ("a", "o")
"""Endings of comparatives, and of feminine words in Spanish; and of the words as the tables have them."""

_OPPOSITES = ({"happy", "sad"}, {"excited", "calm"}, {"angry", "calm"})


@dataclass(frozen=True, slots=True)
class Style:
    emotion: str | None = None  # a name or blend of ``kani.core.emotions``
    pace: float = 1.0  # factor of the speed
    pitch: float = 0.0  # semitones
    ignored: bool = False  # whether there were instructions, and none of them has an effect


def parse_instructions(text: str | None) -> Style:
    """Read instructions; the strongest pace and pitch count, and emotions are blended evenly.

    What is said of different passages comes to opposites, which cancel each other: all is spoken in one
    manner. Text between tags or quotation marks is not said of the manner.
    """
    if not text or not text.strip():
        return Style()
    own = _QUOTATION.sub(" ", _without_tagged(text[:MAX_GIVEN]))[:MAX_READ]
    effects = _effects([word.lower().replace("’", "'") for word in _WORD.findall(own)])
    emotions = dict.fromkeys(effect.emotion for effect in effects if effect.emotion)
    cancelled = set[str]().union(*(pair for pair in _OPPOSITES if pair <= emotions.keys()))
    emotion = ",".join(name for name in emotions if name not in cancelled) or None
    pace = _strongest([effect.pace for effect in effects], 1.0)
    pitch = _strongest([effect.pitch for effect in effects], 0.0)
    return Style(emotion, pace, pitch, ignored=not (emotion or pitch or pace != 1))


def _strongest(values: list[float], neutral: float) -> float:
    """Return the value that is furthest from ``neutral``, which it is for values of both sides."""
    least, most = min(values, default=neutral), max(values, default=neutral)
    if least < neutral < most:
        return neutral
    return least if least < neutral else most


def _without_tagged(text: str) -> str:
    """Return text without what is between the tags of an element, whatever its name."""
    kept, end = list[str](), 0
    open_at, depth = dict[str, int](), Counter[str]()
    elements = list[tuple[int, int]]()
    for tag in _TAG.finditer(text):
        closes, name = tag.groups()
        if tag[0].endswith("/>"):
            continue
        if not closes:
            depth[name] += 1
            open_at.setdefault(name, tag.start())
        elif depth[name]:
            depth[name] -= 1
            if not depth[name]:
                elements.append((open_at.pop(name), tag.end()))
    for start, stop in sorted(elements):
        kept.append(text[end:start])
        end = max(end, stop)
    return " ".join((*kept, text[end:]))


def _effects(words: list[str]) -> list[Effect]:
    found: list[Effect] = []
    for at, word in enumerate(words):
        following = words[at + 1] if at + 1 < len(words) else ""
        forms = (WORDS.get(form) or PHRASES.get((form, following)) for form in _forms(word))
        effect = next(filter(None, forms), None)
        if effect is None or not _NEGATIONS.isdisjoint(words[max(0, at - _NEGATION_REACH) : at]):
            continue
        if at and words[at - 1] in _STRONGER:
            effect = Effect(effect.emotion, effect.pace**_STRONGER_POWER, effect.pitch * _STRONGER_POWER)
        found.append(effect)
    return found


def _forms(word: str) -> Iterator[str]:
    """Yield a word, and those that it may be a comparative or a feminine of."""
    yield word
    for ending, plain in _ENDINGS:
        if word.endswith(ending):
            yield word.removesuffix(ending) + plain
