"""What listeners say to show that they listen, by language: it does not interrupt the speaker."""

from __future__ import annotations

_WORDS = """
* mhm mm mmm hm hmm hmmm uh huh uh-huh mm-hmm mhmm mmhmm mm-mm aha ahá ajá ah oh ok okay ha haha eh um er
en yes yeah yep yup right sure
es sí si ya claro vale bueno mmm anda
fr oui ouais mouais bon bah ben hein
it sì si già certo beh bene
pt sim é pois tá certo hã
de ja jo genau gut klar achso
hi हाँ हां जी हम्म अच्छा ठीक
zh 嗯 哦 啊 对 好 是 好的 对对 嗯嗯 是的
ja はい うん ええ へえ へー ふーん そう なるほど うんうん
"""


def _tables() -> dict[str, frozenset[str]]:
    lines = [line.split() for line in _WORDS.split("\n") if line]
    common = next(words for language, *words in lines if language == "*")
    return {language: frozenset((*common, *words)) for language, *words in lines}


_TABLES = _tables()


def is_backchannel(word: str, language: str) -> bool:
    """Return True if ``word`` (in small letters, without marks) means no more than "I am listening"."""
    return word in _TABLES.get(language, _TABLES["*"])
