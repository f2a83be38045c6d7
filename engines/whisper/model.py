"""Whisper base on CTranslate2, computed in int8: one pass over a short stretch of audio.

The encoder takes less than the 30 s it was trained on, and that is where the time goes; but only
with some silence behind the speech, or it repeats itself without end.
"""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.whisper.local_agreement import HypothesisWord
from engines.whisper.passes import PassInput, PassResult, TimedWord
from engines.whisper.plausibility import TokenLimits, is_repetitive
from engines.whisper.vad import SAMPLE_RATE
from speech.types import Samples

if TYPE_CHECKING:
    import ctranslate2
    import tokenizers

logger = logging.getLogger(__name__)

LANGUAGES = tuple(
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg "
    "lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so "
    "af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jv su".split()
)
"""What Whisper was trained on, in the order of its tokens, as primary subtags."""

# Whisper's own names where they are others.
_NAMES = {"jv": "jw"}
# Written without spaces: a word is what the tokenizer makes one.
_UNSPACED = frozenset("zh ja th lo my".split())

_FIRST = 0
_HOP, _WINDOW = 160, 400
_FRAME_S = 0.02
# The features of silence, and of what is that far below the loudest sound.
_LEAST_FEATURE, _FEATURE_RANGE = -1.5, 2.0
_MOST_S = 30.0
# Silence behind the speech, and the least of both together.
_BEHIND_S, _LEAST_S = 4.0, 6.0

# The model's times are early by so much on average.
_STARTS_LATE_S, _ENDS_LATE_S = 0.043, 0.026

# The language of what is longer is told from so much of its beginning too.
_OPENING_S = 1.8

# What is less likely is no speech.
_LEAST_LOG_PROBABILITY = -0.9


class Whisper:
    """The model, loaded. Safe to be used by as many threads as it was made for."""

    def __init__(self, files: Mapping[str, bytes], threads: int) -> None:
        """files: the four of ``weights.WHISPER_BASE``, by their names without a folder.

        Raises OSError if the temporary folder has no room for them, RuntimeError or ImportError if the
        libraries are not those they should be.
        """
        import ctranslate2
        import tokenizers
        from faster_whisper.feature_extractor import FeatureExtractor

        files = dict(files)
        files["vocabulary.txt"] = _renamed(files["vocabulary.txt"])
        self._tokenizer = tokenizers.Tokenizer.from_buffer(files.pop("tokenizer.json"))
        # From files, though not for long: given in memory CTranslate2 would keep 145 MB of them.
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                Path(folder, name).write_bytes(content)
            self._model = ctranslate2.models.Whisper(
                folder, device="cpu", compute_type="int8", inter_threads=threads, intra_threads=1
            )
        self._view = ctranslate2.StorageView.from_array
        self._features = FeatureExtractor()
        self._limits = TokenLimits(self._tokenizer)
        self._begin = self._token("<|startoftranscript|>")
        self._end = self._token("<|endoftext|>")
        # See _renamed.
        self._before = (self._token("<|startofprev|>"), _FIRST)
        self._task = (self._token("<|transcribe|>"), self._token("<|notimestamps|>"))
        self._languages = {code: self._token(f"<|{_NAMES.get(code, code)}|>") for code in LANGUAGES}

    def transcribe(self, passage: PassInput) -> PassResult:
        """What is said in ``passage``."""
        seconds = len(passage.samples) / SAMPLE_RATE
        encoded = self._encode(passage.samples, max(_LEAST_S, min(seconds + _BEHIND_S, _MOST_S)))
        language, certainty = passage.language, 1.0
        if language is None:
            language, certainty = self._language(encoded)
            if seconds > _OPENING_S:
                # The opening alone is at times told more surely, and more rightly then.
                opening = self._encode(passage.samples[: int(_OPENING_S * SAMPLE_RATE)], _LEAST_S)
                told = self._language(opening)
                language, certainty = max((language, certainty), told, key=itemgetter(1))
        most = self._limits.max_tokens(language, seconds)
        tokens = self._generate(encoded, language, passage.prefix, most)
        words = words_from_tokens(tokens, self._tokenizer, spaced=language not in _UNSPACED)
        nothing = PassResult((), language, certainty, has_speech=False)
        if len(tokens) >= most:
            logger.debug("dropped: %d tokens in %.1f s of %s are not speech", len(tokens), seconds, language)
            return nothing
        if is_repetitive(self._tokenizer.decode([*passage.prefix, *tokens])):
            logger.debug(
                "dropped: %d tokens in %.1f s of %s repeat themselves", len(tokens), seconds, language
            )
            return nothing
        if not words:
            return PassResult((), language, certainty, has_speech=True)
        timed, probability = self._align(encoded, language, passage.prefix, words, seconds)
        if probability < _LEAST_LOG_PROBABILITY:
            logger.debug("dropped: %.1f s of %s are too improbable (%.2f)", seconds, language, probability)
        return PassResult(timed, language, certainty, has_speech=probability >= _LEAST_LOG_PROBABILITY)

    def _encode(self, samples: Samples, length_s: float) -> ctranslate2.StorageView:
        heard = self._features(samples, padding=_WINDOW)
        # Silence is the least there is: computed from samples it would take most of the time.
        least = max(_LEAST_FEATURE, heard.max() - _FEATURE_RANGE)
        features = np.full((len(heard), int(length_s * SAMPLE_RATE) // _HOP), least, np.float32)
        features[:, : heard.shape[1]] = heard[:, : features.shape[1]]
        return self._model.encode(self._view(np.ascontiguousarray(features[None], np.float32)))

    def _language(self, encoded: ctranslate2.StorageView) -> tuple[str, float]:
        result = self._ask(encoded, (), 1, return_logits_vocab=True)
        scores = np.ravel(np.array(result.logits[0]))[list(self._languages.values())]
        likely = int(np.argmax(scores))
        return LANGUAGES[likely], float(1 / np.sum(np.exp(scores - scores[likely])))

    def _generate(
        self, encoded: ctranslate2.StorageView, language: str, prefix: Sequence[int], most: int
    ) -> list[int]:
        # Behind words that are given nothing may come: without them Whisper has to say something.
        asked = (self._languages[language], *self._task, *prefix)
        result = self._ask(encoded, asked, most, suppress_blank=not prefix)
        # Text alone: other tokens cannot be given again.
        return [token for token in result.sequences_ids[0] if token < self._end]

    def _ask(self, encoded: ctranslate2.StorageView, begun: Sequence[int], most: int, **options: bool) -> Any:
        """What comes behind the tokens of an answer that is ``begun``, at most so many; taken at once."""
        prompt = [*self._before, self._begin, *begun]
        prompts = [prompt]
        if prompt[-1] != self._task[-1]:
            # CTranslate2 wants times told unless the first prompt ends with the token that forbids them. So
            # one goes first that does, over no sound: its answer is empty.
            first = [*self._before, *[self._end] * (len(prompt) - 3), self._task[-1]]
            sounds = np.array(encoded)
            encoded = self._view(np.concatenate([np.zeros_like(sounds), sounds]))
            prompts = [first, prompt]
        # CTranslate2 takes half of max_length for what may be generated, and all of it with the prompt.
        length = min(max(2 * most, most + len(prompt)), 448)
        return self._model.generate(encoded, prompts, beam_size=1, max_length=length, **options)[-1]

    def _align(
        self,
        encoded: ctranslate2.StorageView,
        language: str,
        prefix: Sequence[int],
        words: Sequence[HypothesisWord],
        seconds: float,
    ) -> tuple[tuple[TimedWord, ...], float]:
        """The words with their times, and the mean log probability of all tokens."""
        tokens = [*prefix, *(token for word in words for token in word.tokens)]
        begin = [self._begin, self._languages[language], self._task[0]]
        frames = math.ceil(seconds * SAMPLE_RATE / _HOP)
        aligned = self._model.align(encoded, begin, [tokens], frames)[0]
        # The frame at which each token begins: the path's first step on it.
        starts = dict[int, int]()
        for token, frame in aligned.alignments:
            starts.setdefault(token, frame)
        probabilities = np.maximum(aligned.text_token_probs, 1e-10)
        at, timed, least_s = len(prefix), list[TimedWord](), 0.0
        for word in words:
            until = at + len(word.tokens)
            start_s = min(max(starts[at] * _FRAME_S + _STARTS_LATE_S, least_s), seconds)
            end_s = min(max(starts[until] * _FRAME_S + _ENDS_LATE_S, start_s), seconds)
            timed.append(TimedWord(word, start_s, end_s, float(np.min(probabilities[at:until]))))
            at, least_s = until, end_s
        return tuple(timed), float(np.mean(np.log(probabilities)))

    def _token(self, text: str) -> int:
        token = self._tokenizer.token_to_id(text)
        assert token is not None, text
        return int(token)


def _renamed(vocabulary: bytes) -> bytes:
    """The vocabulary, a token a line, with the name of the token that begins an answer given to the first.

    CTranslate2 takes a beginning that is given token by token, 5 ms each; but at once what follows the token
    of that name, up to one whose number is less. So all is taken at once behind the first of all tokens.
    """
    names = vocabulary.split(b"\n")
    begin = names.index(b"<|startoftranscript|>")
    names[_FIRST], names[begin] = names[begin], names[_FIRST]
    return b"\n".join(names)


def words_from_tokens(
    tokens: Sequence[int], tokenizer: tokenizers.Tokenizer, *, spaced: bool
) -> list[HypothesisWord]:
    """``tokens`` as words. spaced: whether a space divides words, or each run of whole characters is one.

    Marks that stand alone (« ? » and the like) go with the word before them.
    """
    runs: list[tuple[str, list[int]]] = []
    pending: list[int] = []
    for token in tokens:
        pending.append(token)
        text = tokenizer.decode(pending)
        # A character whose bytes are not all there yet.
        if "\ufffd" in text:
            continue
        alone = not any(character.isalnum() for character in text)
        joined = runs and ((alone and text.strip() not in _OPENING) or (spaced and not text.startswith(" ")))
        if joined:
            runs[-1][1].extend(pending)
            runs[-1] = (runs[-1][0] + text.strip(), runs[-1][1])
        else:
            runs.append((text.strip(), list(pending)))
        pending = []
    return [HypothesisWord(text, tuple(own)) for text, own in runs]


_OPENING = frozenset('¿ ¡ « “ " ( [ „ -'.split())
