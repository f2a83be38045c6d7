"""Whisper on CTranslate2, computed in int8: languages, words and their times of a stretch of audio.

The encoder, which takes most of the time, is given less than the 30 s that it was trained on; but some
silence after the speech, or the answer repeats itself without end.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kani.core.expected_words import MAX_TEXT
from kani.core.types import Samples
from kani.engines.whisper.checkpoint.contents import FIRST_TOKEN, TOKENIZER, renamed
from kani.engines.whisper.checkpoint.layout import CONTEXT
from kani.engines.whisper.likely_languages import LANGUAGES, LATER_LANGUAGES, NAMES, LikelyLanguages
from kani.engines.whisper.plausibility import TokenLimits, echoes
from kani.engines.whisper.scripts import TokenScripts, is_latinised
from kani.runtime.mel_features import HOP_SAMPLES, MelFeatures
from kani.runtime.recognition.local_agreement import HypothesisWord, words_from_tokens
from kani.runtime.recognition.passes import TimedWord
from kani.runtime.voice_detector import SAMPLE_RATE

if TYPE_CHECKING:
    import ctranslate2

# Samples between two feature frames, and of the window of each.
_WINDOW = 400
# Resolution of the alignment.
_FRAME_S = 0.02
# Feature of silence, and the range of features below the loudest sound's.
_SILENCE_FEATURE, _FEATURE_RANGE = -1.5, 2.0
_MAX_S = 30.0
# Silence that is appended to the speech.
_PADDING_S = 4.0
MIN_S = 6.0
"""Least length of speech and silence together, for words that may still change."""
WINDOW_S = 15.0
"""Least length for short speech that is decided: with less the model echoes words and leaves out others."""
MIDDLE_SILENCE = 0.0
"""Feature of silence as faster-whisper has it: before the quietest one single words are improbable."""

# Corrections of the model's times, which are too early by this on average (docs/listening.md).
_START_CORRECTION_S, _END_CORRECTION_S = 0.043, 0.026

# Half of it, less the tokens around a prompt.
_MAX_PROMPT_TOKENS = 220

# Text that answers are written like, as if it had been said before: without it Hindi comes in Urdu's letters.
_OPENINGS = {"hi": "नमस्ते, आप कैसे हैं? मैं ठीक हूँ।"}

BEAMS = 5
"""Width of a beam search, as in faster-whisper."""
PENALTIES = (1.1, 1.3)
"""Penalties of repetition for an answer that is no speech: words that come again become less likely."""


@dataclass(frozen=True, slots=True)
class Beams:
    """The best answer of a beam search or of sampling."""

    tokens: list[int]  # of the text
    count: int  # of its tokens, those that are no text included
    log_probability: float  # mean of the tokens'
    end_s: float | None  # that it gives for the end of its last words; None if it gives none


def _place(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source)
    except OSError:  # Windows lets few users make links
        shutil.copyfile(source, target)


class _SpecialTokens:
    """Tokens that are no text."""

    def __init__(self, number: Callable[[str], int]) -> None:
        self.begin = number("<|startoftranscript|>")
        self.end = number("<|endoftext|>")
        # Puts the first token ahead of the prompt, see renamed.
        self.previous = (number("<|startofprev|>"), FIRST_TOKEN)
        self.no_timestamps = number("<|notimestamps|>")
        self.tasks = {False: number("<|transcribe|>"), True: number("<|translate|>")}


class Whisper:
    """The model. May be used by as many threads at once as it was loaded for."""

    def __init__(
        self, files: Mapping[str, bytes | Path], threads: int, cores: int = 1, language: str | None = None
    ) -> None:
        """Load the model. files: of a checkpoint, by their names: contents, or the path of model.bin; cores:
        of a pass; language: primary subtag of the server's language.

        Raises OSError if the temporary folder has no room for them, RuntimeError or ImportError for missing
        or unsuitable libraries.
        """
        import ctranslate2
        import tokenizers

        # From a folder, as CTranslate2 would keep the content of files in memory; a temporary one, as the
        # vocabulary is another.
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                if name == TOKENIZER:
                    assert isinstance(content, bytes)
                    self._tokenizer = tokenizers.Tokenizer.from_buffer(content)
                elif isinstance(content, Path):
                    _place(content.resolve(), Path(folder, name))
                else:
                    Path(folder, name).write_bytes(renamed(name, content))
            self._model = ctranslate2.models.Whisper(
                folder, device="cpu", compute_type="int8", inter_threads=threads, intra_threads=cores
            )
        self._view = ctranslate2.StorageView.from_array
        self._features = MelFeatures(self._model.n_mels)
        self.limits = TokenLimits(self._tokenizer)
        self._special = _SpecialTokens(self._token)
        self._scripts = TokenScripts(self._tokenizer, self._special.end)
        self._openings = {code: self.tokens_before(text) for code, text in _OPENINGS.items()}
        known = (*LANGUAGES, *LATER_LANGUAGES) if self._model.is_multilingual else ()
        numbers = {code: self._tokenizer.token_to_id(f"<|{NAMES.get(code, code)}|>") for code in known}
        self._languages = {code: number for code, number in numbers.items() if number is not None}
        self.languages = tuple(self._languages) or ("en",)  # primary subtags of the languages that it knows
        self._likely = LikelyLanguages(self.languages, language)

    @property
    def only_language(self) -> str | None:
        return self.languages[0] if len(self.languages) == 1 else None

    def text_of(self, tokens: Sequence[int]) -> str:
        """Return the text of ``tokens``, with the space that it may begin with."""
        return str(self._tokenizer.decode(list(tokens)))

    def words_of(self, tokens: Sequence[int], *, spaced: bool) -> list[HypothesisWord]:
        """Return the words of ``tokens``; spaced: whether spaces divide words."""
        return words_from_tokens(tokens, self.text_of, spaced=spaced)

    def prompt(self, before: str, language: str, *, translate: bool) -> list[int]:
        """Return the tokens that an answer with times follows; before: text that may precede the speech.

        Asked for the times of its sentences, the model tells those after the first one too.
        """
        begun = self._begun(language, translate=translate)
        read = [] if translate else self._opening(language)
        return [*self._special.previous, *read, *self.tokens_before(before), self._special.begin, *begun]

    def _opening(self, language: str) -> Sequence[int]:
        """Return the tokens of a text that an answer is written like, for those languages that need it."""
        return self._openings.get(language, ())

    def _without_opening(self, prompt: list[int], language: str) -> list[int]:
        begin, opening = len(self._special.previous), [*self._opening(language)]
        end = begin + len(opening)
        return prompt[:begin] + prompt[end:] if prompt[begin:end] == opening else prompt

    def _echoes(self, tokens: Sequence[int], language: str) -> bool:
        return echoes(self.text_of(tokens), _OPENINGS.get(language, ""))

    def _begun(self, language: str, *, translate: bool = False) -> tuple[int, ...]:
        """Return the tokens of the language and the task; a model of one language was trained with none."""
        return (self._languages[language], self._special.tasks[translate]) if self._languages else ()

    def tokens_before(self, text: str) -> tuple[int, ...]:
        """Return the tokens of text that may precede the speech, as many of its last as the model reads."""
        text = text[-MAX_TEXT:].strip()
        tokens = self._tokenizer.encode(f" {text}", add_special_tokens=False).ids if text else []
        return tuple(tokens[-_MAX_PROMPT_TOKENS:])

    def answer(
        self,
        encoded: ctranslate2.StorageView,
        prompt: list[int],
        written: str,
        max_tokens: int,
        *,
        wanted: Callable[[str], bool] | None = None,
        **how: float,
    ) -> Beams:
        """Return the answer to ``prompt``.

        written: the language of the answer; wanted: chooses the likeliest answer with a text that it accepts,
        if there is one; how: options of CTranslate2's ``generate``.
        """
        latin = True
        while True:
            # See _generate_tokens for the length.
            length = min(max(2 * max_tokens, max_tokens + len(prompt)), CONTEXT)
            never = self._never(written, latin=latin)
            result = self._model.generate(
                encoded, [prompt], max_length=length, return_scores=True, suppress_tokens=never, **how
            )[0]
            answers = [
                [token for token in answer if token < self._special.end] for answer in result.sequences_ids
            ]
            chosen = 0
            if wanted is not None:
                chosen = next((at for at, each in enumerate(answers) if wanted(self.text_of(each))), 0)
            tokens = answers[chosen]
            plain = self._without_opening(prompt, written)
            if latin and is_latinised(self.text_of(tokens), written):
                latin = False
            elif plain != prompt and self._echoes(tokens, written):
                prompt = plain
            else:
                break
        count = len(result.sequences_ids[chosen])
        last = result.sequences_ids[chosen][-1] if count else self._special.end
        end_s = (
            (last - self._special.no_timestamps - 1) * _FRAME_S
            if last > self._special.no_timestamps
            else None
        )
        return Beams(tokens, count, result.scores[chosen] * count / (count + 1), end_s)

    def _never(self, language: str, *, latin: bool) -> list[int]:
        """Return the tokens that are not generated; -1 stands for those that the model never needs."""
        return [-1, *self._scripts.foreign(language, latin=latin)]

    def answer_of_length(self, encoded: ctranslate2.StorageView, count: int) -> list[int]:
        """Return an answer of exactly ``count`` tokens, whatever the sound, to measure their time by."""
        prompt = self.prompt("", self.languages[0], translate=False)
        # -1 stands for the tokens that are never generated.
        never = [-1, self._special.end]
        length = max(2 * count, count + len(prompt))
        result = self._model.generate(
            encoded, [prompt], max_length=length, beam_size=1, suppress_tokens=never
        )[0]
        return list(result.sequences_ids[0])

    def encode(
        self, samples: Samples, least_s: float = MIN_S, silence: float | None = None
    ) -> ctranslate2.StorageView:
        """Return the encoder's output for ``samples`` (16 kHz, at most ``_MAX_S``), with silence added.

        least_s: least length of both together; silence: its feature, None for the quietest.
        """
        speech = self._features(samples, padding=_WINDOW)
        length_s = max(least_s, min(len(samples) / SAMPLE_RATE + _PADDING_S, _MAX_S))
        # The padding is filled in as features: computing it from samples would take most of the time.
        if silence is None:
            silence = max(_SILENCE_FEATURE, speech.max() - _FEATURE_RANGE)
        features = np.full((len(speech), int(length_s * SAMPLE_RATE) // HOP_SAMPLES), silence, np.float32)
        features[:, : speech.shape[1]] = speech[:, : features.shape[1]]
        return self._model.encode(self._view(np.ascontiguousarray(features[None], np.float32)))

    def likely_languages(
        self,
        encoded: ctranslate2.StorageView,
        candidates: Collection[str] = (),
        expected: str | None = None,
        *,
        word: bool = False,
    ) -> list[tuple[str, float]]:
        """Return the likeliest of several languages with their probabilities, the likeliest first.

        candidates, expected, word: as of ``LikelyLanguages.of``.
        """
        result = self._generate_tokens(encoded, (), 1, beam_size=1, return_logits_vocab=True)
        scores = np.ravel(np.array(result.logits[0]))
        known = {code: float(scores[token]) for code, token in self._languages.items()}
        return self._likely.of(known, candidates, expected, word=word)

    def generate(
        self,
        encoded: ctranslate2.StorageView,
        language: str,
        prefix: Sequence[int],
        max_tokens: int,
        beams: int,
        before: Sequence[int] = (),
        *,
        penalty: float = 1.0,
    ) -> list[int]:
        """Return the text tokens of an answer that goes on after ``prefix``, ``max_tokens`` at most.

        before: tokens of text that may precede the speech, ``tokens_before``; its end counts where there is
        not enough room; penalty: of repetition.
        """
        begun = (*self._begun(language), self._special.no_timestamps, *prefix)
        opening, latin = self._opening(language), True
        while True:
            result = self._generate_tokens(
                encoded,
                begun,
                max_tokens,
                (*opening, *before),
                beam_size=beams,
                # Without a prefix an empty answer is not allowed; after a prefix it may be the right one.
                suppress_blank=not prefix,
                suppress_tokens=self._never(language, latin=latin),
                repetition_penalty=penalty,
            )
            # Text tokens only: others cannot be part of a later prefix.
            tokens = [token for token in result.sequences_ids[0] if token < self._special.end]
            if latin and is_latinised(self.text_of(tokens), language):
                latin = False
            elif opening and self._echoes(tokens, language):
                opening = ()
            else:
                return tokens

    def _generate_tokens(
        self,
        encoded: ctranslate2.StorageView,
        begun: Sequence[int],
        max_tokens: int,
        before: Sequence[int] = (),
        **options: Any,
    ) -> Any:
        """Generate at most ``max_tokens`` after the tokens of an answer that is ``begun``."""
        room = CONTEXT - max_tokens - len(begun) - len(self._special.previous) - 1
        before = before[-room:] if room > 0 else ()
        prompt = [*self._special.previous, *before, self._special.begin, *begun]
        prompts = [prompt]
        if prompt[-1] != self._special.no_timestamps:
            # CTranslate2 generates timestamps unless the first prompt ends with the token that forbids
            # them. So another prompt goes first that does, over silence: its answer is empty.
            first = [
                *self._special.previous,
                *[self._special.end] * (len(prompt) - 3),
                self._special.no_timestamps,
            ]
            speech = np.array(encoded)
            encoded = self._view(np.concatenate([np.zeros_like(speech), speech]))
            prompts = [first, prompt]
        # CTranslate2 limits generated tokens to half of max_length, and those with the prompt to all of it.
        length = min(max(2 * max_tokens, max_tokens + len(prompt)), CONTEXT)
        return self._model.generate(encoded, prompts, max_length=length, **options)[-1]

    def align(
        self,
        encoded: ctranslate2.StorageView,
        language: str,
        prefix: Sequence[int],
        words: Sequence[HypothesisWord],
        seconds: float,
        *,
        translate: bool = False,
    ) -> tuple[tuple[TimedWord, ...], float]:
        """Return the words with their times, and the mean log probability of all tokens."""
        tokens = [*prefix, *(token for word in words for token in word.tokens)]
        begin = [self._special.begin, *self._begun(language, translate=translate)]
        if not translate and (opening := self._opening(language)):
            begin = [self._special.previous[0], *opening, *begin]
        frames = math.ceil(seconds * SAMPLE_RATE / HOP_SAMPLES)
        aligned = self._model.align(encoded, begin, [tokens], frames)[0]
        # First frame of each token: the first step of the alignment path on it.
        starts = dict[int, int]()
        for token, frame in aligned.alignments:
            starts.setdefault(token, frame)
        probabilities = np.maximum(aligned.text_token_probs, 1e-10)
        at, timed, earliest_s = len(prefix), list[TimedWord](), 0.0
        for word in words:
            until = at + len(word.tokens)
            start_s = min(max(starts[at] * _FRAME_S + _START_CORRECTION_S, earliest_s), seconds)
            end_s = min(max(starts[until] * _FRAME_S + _END_CORRECTION_S, start_s), seconds)
            last = None
            if len(word.tokens) > 1:
                last_s = min(starts[until - 1] * _FRAME_S + _START_CORRECTION_S, end_s)
                last = self.text_of(word.tokens[-1:]), max(last_s - start_s, 0.0)
            timed.append(TimedWord(word, start_s, end_s, float(np.min(probabilities[at:until])), last))
            at, earliest_s = until, end_s
        return tuple(timed), float(np.mean(np.log(probabilities)))

    def _token(self, text: str) -> int:
        token = self._tokenizer.token_to_id(text)
        assert token is not None, text
        return int(token)
