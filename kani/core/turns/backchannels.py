"""Words that only show that a person listens: said over an answer, they interrupt nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import chain

from kani.core.turns.words import plain

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
_BY_LANGUAGE = {
    language: _ANY | frozenset(words)
    for language, *words in (line.split() for line in _WORDS.strip().split("\n"))
}


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
