"""Whisper base on CTranslate2, computed in int8: one pass over a short stretch of audio.

The encoder, which takes most of the time, is given less than the 30 s that it was trained on; but some
silence behind the speech, or the answer repeats itself without end.
"""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.whisper.local_agreement import HypothesisWord
from engines.whisper.passes import ChunkInput, ChunkResult, PassInput, PassResult, TimedWord
from engines.whisper.plausibility import MAX_TOKENS, TokenLimits, compression_ratio, is_repetitive
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
"""Languages that Whisper was trained on, in the order of its tokens, as primary subtags."""

# Whisper's own names of languages, where they differ from the primary subtags.
_NAMES = {"jv": "jw"}
# Languages without spaces: each run of whole characters that the tokenizer decodes is a word.
_UNSPACED = frozenset("zh ja th lo my".split())

# Number of the vocabulary's first token, see _renamed.
_FIRST_TOKEN = 0
# Samples between two feature frames, and of the window of each.
_HOP, _WINDOW = 160, 400
# Resolution of the alignment.
_FRAME_S = 0.02
# Feature of silence, and the range of features below the loudest sound's.
_SILENCE_FEATURE, _FEATURE_RANGE = -1.5, 2.0
_MAX_S = 30.0
# Silence that is appended to the speech, and the least length of both together.
_PADDING_S, _MIN_S = 4.0, 6.0

# Corrections of the model's times, which are too early by this on average (docs/listening.md).
_START_CORRECTION_S, _END_CORRECTION_S = 0.043, 0.026

# The language of longer audio is detected in this much of its beginning as well.
_OPENING_S = 1.8

# An answer whose mean log probability is lower is no speech.
_MIN_LOG_PROBABILITY = -0.9

# A stretch of a recording is decoded as by faster-whisper: by beam search, and where the answer is repetitive
# or improbable, again by sampling, at rising temperatures.
_BEAMS = _SAMPLES = 5
_TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_MAX_COMPRESSION, _MIN_MEAN_LOG_PROBABILITY = 2.4, -1.0
# Half of the model's context, less the tokens around a prompt.
_MAX_PROMPT_TOKENS = 220
# A stretch longer than this whose answer is cut off is transcribed in two halves.
_DIVISIBLE_S = 6.0

# Punctuation that belongs to the word behind it.
_OPENING_PUNCTUATION = frozenset('¿ ¡ « “ " ( [ „ -'.split())


@dataclass(frozen=True, slots=True)
class _Decoding:
    """One attempt at the text of a stretch."""

    tokens: list[int]
    temperature: float
    log_probability: float  # mean of the tokens'
    repetitive: bool
    cut_off: bool  # whether it has as many tokens as are possible

    @property
    def is_speech(self) -> bool:
        return not self.repetitive and self.log_probability >= _MIN_MEAN_LOG_PROBABILITY


class Whisper:
    """The model. May be used by as many threads at once as it was loaded for."""

    def __init__(self, files: Mapping[str, bytes], threads: int) -> None:
        """Load the model. files: those of ``weights.WHISPER_BASE``, by their names without a folder.

        Raises OSError if the temporary folder has no room for them, RuntimeError or ImportError for missing
        or unsuitable libraries.
        """
        import ctranslate2
        import tokenizers
        from faster_whisper.feature_extractor import FeatureExtractor

        files = dict(files)
        files["vocabulary.txt"] = _renamed(files["vocabulary.txt"])
        self._tokenizer = tokenizers.Tokenizer.from_buffer(files.pop("tokenizer.json"))
        # Loaded from temporary files: CTranslate2 would keep files in memory, 145 MB.
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
        # Puts the first token ahead of the prompt, see _renamed.
        self._previous = (self._token("<|startofprev|>"), _FIRST_TOKEN)
        self._task = (self._token("<|transcribe|>"), self._token("<|notimestamps|>"))
        self._translation = (self._token("<|translate|>"), self._task[1])
        self._languages = {code: self._token(f"<|{_NAMES.get(code, code)}|>") for code in LANGUAGES}

    def transcribe(self, audio: PassInput) -> PassResult:
        """Recognise the words in ``audio`` behind its prefix."""
        seconds = len(audio.samples) / SAMPLE_RATE
        encoded = self._encode(audio.samples, max(_MIN_S, min(seconds + _PADDING_S, _MAX_S)))
        language, likelihood = audio.language, 1.0
        if language is None:
            language, likelihood = self._detect_language(encoded)
            if seconds > _OPENING_S:
                # The language of the opening alone is at times more certain, and then more often right.
                opening = self._encode(audio.samples[: int(_OPENING_S * SAMPLE_RATE)], _MIN_S)
                of_opening = self._detect_language(opening)
                language, likelihood = max((language, likelihood), of_opening, key=itemgetter(1))
        max_tokens = self._limits.max_tokens(language, seconds)
        tokens = self._generate(encoded, language, audio.prefix, max_tokens)
        words = words_from_tokens(tokens, self._tokenizer, spaced=language not in _UNSPACED)
        dropped = PassResult((), language, likelihood, has_speech=False)
        if len(tokens) >= max_tokens:
            logger.debug("dropped: %d tokens in %.1f s of %s are not speech", len(tokens), seconds, language)
            return dropped
        if is_repetitive(self._tokenizer.decode([*audio.prefix, *tokens])):
            logger.debug(
                "dropped: %d tokens in %.1f s of %s repeat themselves", len(tokens), seconds, language
            )
            return dropped
        if not words:
            return PassResult((), language, likelihood, has_speech=True)
        timed, probability = self._align(encoded, language, audio.prefix, words, seconds, self._task)
        if probability < _MIN_LOG_PROBABILITY:
            logger.debug("dropped: %.1f s of %s are too improbable (%.2f)", seconds, language, probability)
        return PassResult(timed, language, likelihood, has_speech=probability >= _MIN_LOG_PROBABILITY)

    def transcribe_chunk(self, audio: ChunkInput, stopped: Callable[[], bool]) -> list[ChunkResult]:
        """Transcribe a stretch of a recording; its parts are one after the other where it holds much text.

        stopped: asked before each step of some tenths of a second; once it is True the result does not count.
        """
        chunk = audio.chunk
        encoded = self._encode(chunk.samples, max(_MIN_S, min(chunk.duration_s + _PADDING_S, _MAX_S)))
        language, likelihood = audio.language, 1.0
        if language is None:
            language, likelihood = self._detect_language(encoded, audio.candidates)
        decoding = self._decode(encoded, audio, language, stopped)
        if decoding is None:
            return []
        if decoding.cut_off and chunk.duration_s > _DIVISIBLE_S:
            parts = [replace(audio, chunk=half, language=language) for half in chunk.halves()]
            results = [result for part in parts for result in self.transcribe_chunk(part, stopped)]
            return [replace(result, language_probability=likelihood) for result in results]
        spaced = audio.translate or language not in _UNSPACED
        words = words_from_tokens(decoding.tokens, self._tokenizer, spaced=spaced)
        task = self._translation if audio.translate else self._task
        timed, _ = self._align(encoded, language, (), words, chunk.duration_s, task) if words else ((), 0.0)
        mean = decoding.log_probability
        rest = chunk.rest(timed[-1].start_s) if timed else None
        if rest is not None:
            end_s = min(timed[-1].end_s, rest.start_s - chunk.start_s)
            timed = (*timed[:-1], replace(timed[-1], end_s=end_s))
        result = ChunkResult(chunk, timed, language, likelihood, decoding.temperature, mean)
        if rest is None:
            return [result]
        return [result, *self.transcribe_chunk(replace(audio, chunk=rest, language=language), stopped)]

    def text_of(self, tokens: Sequence[int]) -> str:
        """Return the text of ``tokens``, with the space that it may begin with."""
        return str(self._tokenizer.decode(list(tokens)))

    def _decode(
        self, encoded: ctranslate2.StorageView, audio: ChunkInput, language: str, stopped: Callable[[], bool]
    ) -> _Decoding | None:
        """Return the first attempt that is speech, else the likeliest; None if all only repeat themselves."""
        spoken = "en" if audio.translate else language
        max_tokens = self._limits.max_tokens(spoken, audio.chunk.duration_s)
        before = self._tokenizer.encode(f" {audio.prompt.strip()}", add_special_tokens=False).ids
        task = self._translation if audio.translate else self._task
        prompt = [
            *self._previous,
            *(before[-_MAX_PROMPT_TOKENS:] if audio.prompt.strip() else ()),
            *(self._begin, self._languages[language], *task),
        ]
        temperatures = (audio.temperature,) if audio.temperature else _TEMPERATURES
        tried: list[_Decoding] = []
        for temperature in temperatures:
            if stopped():
                return None
            tried.append(self._attempt(encoded, prompt, max_tokens, temperature))
            if tried[-1].is_speech:
                return tried[-1]
        logger.debug("%.1f s of %s are not speech at any temperature", audio.chunk.duration_s, language)
        plausible = [decoding for decoding in tried if not decoding.repetitive]
        return max(plausible, key=lambda decoding: decoding.log_probability, default=None)

    def _attempt(
        self, encoded: ctranslate2.StorageView, prompt: list[int], max_tokens: int, temperature: float
    ) -> _Decoding:
        sampling = {"beam_size": 1, "num_hypotheses": _SAMPLES, "sampling_topk": 0}
        how = sampling if temperature else {"beam_size": _BEAMS}
        # See _generate_tokens for the length.
        length = min(max(2 * max_tokens, max_tokens + len(prompt)), 448)
        result = self._model.generate(
            encoded, [prompt], max_length=length, return_scores=True, sampling_temperature=temperature, **how
        )[0]
        tokens = [token for token in result.sequences_ids[0] if token < self._end]
        count = len(result.sequences_ids[0])
        return _Decoding(
            tokens,
            temperature,
            result.scores[0] * count / (count + 1),
            (count >= max_tokens and max_tokens < MAX_TOKENS)
            or compression_ratio(self.text_of(tokens)) > _MAX_COMPRESSION,
            count >= MAX_TOKENS,
        )

    def _encode(self, samples: Samples, length_s: float) -> ctranslate2.StorageView:
        speech = self._features(samples, padding=_WINDOW)
        # The padding is filled in as features: computing it from samples would take most of the time.
        silence = max(_SILENCE_FEATURE, speech.max() - _FEATURE_RANGE)
        features = np.full((len(speech), int(length_s * SAMPLE_RATE) // _HOP), silence, np.float32)
        features[:, : speech.shape[1]] = speech[:, : features.shape[1]]
        return self._model.encode(self._view(np.ascontiguousarray(features[None], np.float32)))

    def _detect_language(
        self, encoded: ctranslate2.StorageView, candidates: Collection[str] = ()
    ) -> tuple[str, float]:
        """Return the likeliest language, of ``candidates`` if there are any, and its probability."""
        result = self._generate_tokens(encoded, (), 1, return_logits_vocab=True)
        among = [language for language in LANGUAGES if language in candidates] or LANGUAGES
        scores = np.ravel(np.array(result.logits[0]))[[self._languages[language] for language in among]]
        likely = int(np.argmax(scores))
        return among[likely], float(1 / np.sum(np.exp(scores - scores[likely])))

    def _generate(
        self, encoded: ctranslate2.StorageView, language: str, prefix: Sequence[int], max_tokens: int
    ) -> list[int]:
        # Without a prefix an empty answer is not allowed; behind a prefix it may be the right one.
        begun = (self._languages[language], *self._task, *prefix)
        result = self._generate_tokens(encoded, begun, max_tokens, suppress_blank=not prefix)
        # Text tokens only: others cannot be part of a later prefix.
        return [token for token in result.sequences_ids[0] if token < self._end]

    def _generate_tokens(
        self, encoded: ctranslate2.StorageView, begun: Sequence[int], max_tokens: int, **options: bool
    ) -> Any:
        """Generate at most ``max_tokens`` behind the tokens of an answer that is ``begun``."""
        prompt = [*self._previous, self._begin, *begun]
        prompts = [prompt]
        if prompt[-1] != self._task[-1]:
            # CTranslate2 generates timestamps unless the first prompt ends with the token that forbids
            # them. So another prompt goes first that does, over silence: its answer is empty.
            first = [*self._previous, *[self._end] * (len(prompt) - 3), self._task[-1]]
            speech = np.array(encoded)
            encoded = self._view(np.concatenate([np.zeros_like(speech), speech]))
            prompts = [first, prompt]
        # CTranslate2 limits generated tokens to half of max_length, and those with the prompt to all of it.
        length = min(max(2 * max_tokens, max_tokens + len(prompt)), 448)
        return self._model.generate(encoded, prompts, beam_size=1, max_length=length, **options)[-1]

    def _align(
        self,
        encoded: ctranslate2.StorageView,
        language: str,
        prefix: Sequence[int],
        words: Sequence[HypothesisWord],
        seconds: float,
        task: Sequence[int],
    ) -> tuple[tuple[TimedWord, ...], float]:
        """Return the words with their times, and the mean log probability of all tokens."""
        tokens = [*prefix, *(token for word in words for token in word.tokens)]
        begin = [self._begin, self._languages[language], task[0]]
        frames = math.ceil(seconds * SAMPLE_RATE / _HOP)
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
            timed.append(TimedWord(word, start_s, end_s, float(np.min(probabilities[at:until]))))
            at, earliest_s = until, end_s
        return tuple(timed), float(np.mean(np.log(probabilities)))

    def _token(self, text: str) -> int:
        token = self._tokenizer.token_to_id(text)
        assert token is not None, text
        return int(token)


def _renamed(vocabulary: bytes) -> bytes:
    """Return the vocabulary, a token a line, with the names of its first and its start token exchanged.

    CTranslate2 feeds the given beginning of an answer to the model token by token, 5 ms each; except for
    the tokens behind the start token, up to one with a lower number, which it feeds at once. With the first
    token of all in that role, the whole beginning is fed at once.
    """
    names = vocabulary.split(b"\n")
    begin = names.index(b"<|startoftranscript|>")
    names[_FIRST_TOKEN], names[begin] = names[begin], names[_FIRST_TOKEN]
    return b"\n".join(names)


def words_from_tokens(
    tokens: Sequence[int], tokenizer: tokenizers.Tokenizer, *, spaced: bool
) -> list[HypothesisWord]:
    """Join ``tokens`` to words. spaced: whether spaces divide words, or each run of whole characters is one.

    Punctuation that stands alone (« ? » and the like) is attached to the word before it.
    """
    runs: list[tuple[str, list[int]]] = []
    pending: list[int] = []
    for token in tokens:
        pending.append(token)
        text = tokenizer.decode(pending)
        # The bytes of the last character are incomplete.
        if "\ufffd" in text:
            continue
        alone = not any(character.isalnum() for character in text)
        joined = runs and (
            (alone and text.strip() not in _OPENING_PUNCTUATION) or (spaced and not text.startswith(" "))
        )
        if joined:
            runs[-1][1].extend(pending)
            runs[-1] = (runs[-1][0] + text.strip(), runs[-1][1])
        else:
            runs.append((text.strip(), list(pending)))
        pending = []
    return [HypothesisWord(text, tuple(own)) for text, own in runs]
