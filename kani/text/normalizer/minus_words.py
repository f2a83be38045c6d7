"""The word for minus in languages without a table: espeak-ng leaves out a hyphen before a figure there."""

from __future__ import annotations

import functools

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


def minus_word(language: str) -> str:
    """Return the word of a language (BCP 47), "" where none is known."""
    return _words().get(language.partition("-")[0].lower(), "")


@functools.cache
def _words() -> dict[str, str]:
    rows = (line.split() for line in _WORDS.strip().splitlines())
    return {language: word for word, *languages in rows for language in languages}
