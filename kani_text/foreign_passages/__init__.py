"""Splits text by language: passages in another script, and quotations and sentences in another language.

"Dijo «добрый день» y se fue" is Spanish with a passage in Russian, 'Dijo "see you later, my friend"' one in
English. Of the text's own script only passages of three words and more are told apart, where the evidence is
clear: a single word or a name stays with the text. Words in Latin letters inside other scripts (names,
brands) are left to the engine, which knows them or spells them.
"""

from kani_text.foreign_passages.quotations import LanguageSplitter, has_words, outside_quotations, shows
from kani_text.foreign_passages.runs import MAX_DETECTION_TEXT, ForeignPassage, LanguageRun
from kani_text.foreign_passages.scripts import ScriptSplitter

__all__ = [
    "MAX_DETECTION_TEXT",
    "ForeignPassage",
    "LanguageRun",
    "LanguageSplitter",
    "ScriptSplitter",
    "has_words",
    "outside_quotations",
    "shows",
]
