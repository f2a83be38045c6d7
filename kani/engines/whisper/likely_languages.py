"""Languages of Whisper, and which of them speech without a given one is likely in."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

LANGUAGES = tuple(
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg "
    "lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so "
    "af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jv su".split()
)
"""Languages that Whisper was trained on, in the order of its tokens, as primary subtags."""

LATER_LANGUAGES = ("yue",)
"""Further ones of large-v3 and its descendants."""
NAMES = {"jv": "jw"}
"""Whisper's own names of languages, where they differ from the primary subtags."""

# Languages that are tried where the likeliest is not certain, or its answer is no speech; each at least so
# likely.
_TRIED, _LEAST_LIKELY = 3, 0.005
LANGUAGE_WEIGHT = 0.3
"""Weight of a language's log probability, beside that of the answer in it."""
CERTAIN = 0.9
"""Probability from which on a language is certain."""
# Languages that are detected as another one, which sounds the same in everyday speech. Hindi has three times
# as many speakers as Urdu; who speaks Urdu names it.
_SAME_SPEECH = {"ur": "hi"}
# A language that is expected is so many times as likely as the sounds are, and more so for one word: its
# sounds hardly tell, and who changes the language says a sentence. So is the server's, and those that it has
# voices for: short Spanish sounds like Italian, and noises like rare languages. These are
# the languages of Kokoro's voices, and German, which other engines have natural voices for.
_EXPECTED_ODDS, _OF_A_WORD_ODDS, _SERVER_ODDS, _VOICE_ODDS = 20.0, 1000.0, 10.0, 20.0
_WITH_VOICES = frozenset("en es fr it pt de hi ja zh".split())


class LikelyLanguages:
    """Chooses the languages of speech by the model's scores and by what is usual on this server."""

    def __init__(self, known: Sequence[str], usual: str | None) -> None:
        """known: primary subtags of the model's languages; usual: of the server's language."""
        self._usual_odds = {
            one: (_VOICE_ODDS if one in _WITH_VOICES else 1.0) * (_SERVER_ODDS if one == usual else 1.0)
            for one in known
        }

    def of(
        self, scores: Mapping[str, float], candidates: Collection[str], expected: str | None, *, word: bool
    ) -> list[tuple[str, float]]:
        """Return the likeliest of several languages with their probabilities, the likeliest first.

        scores: of the model, by primary subtags; candidates: those that there are, if not all; expected: the
        one of the speech before, if any; word: whether the speech is as short as one.
        """
        among = [one for one in scores if one in candidates] or [*scores]
        values = np.array([scores[one] for one in among])
        odds = np.exp(values - values.max())
        if not candidates:
            odds *= [self._usual_odds[one] for one in among]
            for other, same in _SAME_SPEECH.items():
                if {other, same} <= set(among):
                    odds[among.index(same)] += odds[among.index(other)]
                    odds[among.index(other)] = 0.0
        if expected is not None and expected in among:
            odds[among.index(expected)] *= _OF_A_WORD_ODDS if word else _EXPECTED_ODDS
        probabilities = odds / odds.sum()
        likely = np.argsort(-probabilities, kind="stable")[:_TRIED]
        found = [(among[at], float(probabilities[at])) for at in likely]
        return [one for one in found if one[1] >= _LEAST_LIKELY or one is found[0]]
