"""Signs in languages without a table: words for minus and powers, which espeak-ng leaves out there."""

from __future__ import annotations

import functools
import re

from kani.text import writing
from kani.text.normalizer.spoken import SpokenTextBuilder
from kani.text.normalizer.tokens import Token

_WORDS = """
minus af bs cs da eo eu hr ia id io la lb lt ms nb nn no pl ro sl sq sv tk uz fo hsb
минус ba bg cv kk ky mk nog ru sr tt
mínus is sk
miinus et fi
menos an pap qu
menys ca
mənfi az
мінус be uk
মাইনাস as bn bpy
minws cy
μείον el grc
منفی fa ur
lúide ga
માઇનસ gu
מינוס he
mwens ht
mínusz hu
մինուս hy hyw
მინუს ka
ಮೈನಸ್ kn
마이너스 ko
उणे kok mr
kêm ku
mīnus lv
tango mi
മൈനസ് ml
nieqes mt
အနုတ် my
माइनस ne
min nl
ମାଇନସ୍ or
ਮਾਈਨਸ pa
منفي sd
ඍණ si
hasi sw
மைனஸ் ta
మైనస్ te
ลบ th
eksi tr
مىنۇس ug
âm vi
負 yue hak
አሉታዊ am
"""

# Language, squared, to the power of.
_POWERS = """
ru | в квадрате | в степени
uk | у квадраті | у степені
be | у квадраце | у ступені
bg | на квадрат | на степен
pl | do kwadratu | do potęgi
cs | na druhou | na
sk | na druhú | na
hr | na kvadrat | na
sr | на квадрат | на
sl | na kvadrat | na
nl | kwadraat | tot de macht
sv | i kvadrat | upphöjt till
da | i anden | i
nb | i andre | opphøyd i
no | i andre | opphøyd i
fi | toiseen | potenssiin
et | ruudus | astmel
tr | kare | üzeri
ro | la pătrat | la puterea
el | στο τετράγωνο | στη δύναμη
ca | al quadrat | elevat a
gl | ao cadrado | elevado a
id | kuadrat | pangkat
ms | kuasa dua | kuasa
vi | bình phương | mũ
sw | mraba | kipeo
he | בריבוע | בחזקת
fa | به توان دو | به توان
lt | kvadratu | laipsniu
lv | kvadrātā | pakāpē
"""
_RAISED = re.compile(r"(?<=[\w)])(?:(?P<raised>⁻?[⁰¹²³⁴-⁹]{1,4})|\^\{?(?P<plain>[-−]?\d{1,4})\}?)(?!\w)")
_SQUARE = "2"


def append_plain(token: Token, start: int, builder: SpokenTextBuilder, language: str) -> None:
    """Append a token as it is written, with words for its minus and its powers.

    language: BCP 47, without a table.
    """
    minus, (square, power) = minus_word(language), _powers().get(language.partition("-")[0].lower(), ("", ""))
    if minus and token.core == "−" and start == token.core_start:
        builder.append(minus, start, token.end)
        return
    if minus and token.core[:1] in ("-", "−") and token.core[1:2].isdecimal():
        builder.copy(start, token.core_start)
        builder.append(f"{minus} ", token.core_start, token.core_start + 1)
        start = token.core_start + 1
    if power:
        for found in _RAISED.finditer(token.text, start, token.end):
            exponent = (found["raised"] or found["plain"]).translate(writing.RAISED)
            if _is_note(token.text, found):
                continue
            builder.copy(start, found.start())
            figures = exponent.lstrip("-−")
            sign = f"{minus} " if figures != exponent else ""
            said = square if exponent == _SQUARE else f"{power} {sign}{figures}"
            builder.append(f" {said}", found.start(), found.end())
            start = found.end()
    builder.copy(start, token.end)


def _is_note(text: str, found: re.Match[str]) -> bool:
    """True for a raised figure after a word of three letters and more, which may be a note's mark."""
    word = text[max(found.start() - len("word"), 0) : found.start()]
    return found["raised"] is not None and len(word) > len("km") and word[-3:].isalpha()


def minus_word(language: str) -> str:
    """Return the word of a language (BCP 47), "" where none is known."""
    return _words().get(language.partition("-")[0].lower(), "")


@functools.cache
def _words() -> dict[str, str]:
    rows = (line.split() for line in _WORDS.strip().splitlines())
    return {language: word for word, *languages in rows for language in languages}


@functools.cache
def _powers() -> dict[str, tuple[str, str]]:
    rows = (line.split(" | ") for line in _POWERS.strip().splitlines())
    return {language: (square, power) for language, square, power in rows}
