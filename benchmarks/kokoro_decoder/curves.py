"""Pitch and energy by either decoder, beside each other and beside float32."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks import single_engine
from benchmarks.kokoro_data.later_sentences import LATER_SENTENCES
from benchmarks.kokoro_data.sentences import SENTENCES
from benchmarks.kokoro_decoder.windows import FLOAT32, LITERT, ONNX, decoder_variant
from benchmarks.report import median, table
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.network import parts_cache
from kani.engines.kokoro.network.decoder import Curves
from kani.engines.kokoro.network.onnx_model import Array, Network, Stop, encoder_inputs
from kani.engines.kokoro.network.parts import MIN_VOICED_HZ
from kani.engines.kokoro.text.phonemes import split_utterances
from kani.engines.kokoro.text.readers import reader_for
from kani.engines.kokoro.voices import DEFAULT_VOICES, Voices
from kani.runtime import weights
from kani.server import settings

_LANGUAGES = ("es", "en", "ja")
_SENTENCES = 12
"""Sentences of each language."""

_PAIRS = ((LITERT, ONNX), (ONNX, FLOAT32), (LITERT, FLOAT32))


def _predicted() -> Iterator[dict[str, Curves]]:
    """The curves of each sentence by decoder, of the same durations."""
    chosen = settings.load({})
    int8 = weights.load(weights.KOKORO, models_dir=chosen.models_dir, cache_dir=chosen.cache_dir)
    encoder = Network(parts_cache.load(int8, chosen.cache_dir)("encoder"), single_engine.THREADS)
    variants = {name: decoder_variant(name, single_engine.THREADS) for name in (FLOAT32, ONNX, LITERT)}
    decoders = {name: own.parts.decoder.feature_decoder for name, own in variants.items()}
    voices = Voices()
    for language in _LANGUAGES:
        (voice,) = (voice for voice in voices.all if voice.id == DEFAULT_VOICES[language])
        reader = reader_for(EspeakClient.shared(), voice.language, chosen.cache_dir)
        assert reader is not None
        for text in {**SENTENCES, **LATER_SENTENCES}[language][:_SENTENCES]:
            (utterance,) = split_utterances(text, reader, ending=".")
            style = voices.style(voice.id, len(utterance.symbols))
            (shared,) = encoder.run(encoder_inputs(utterance.symbols, style, 1.0), ("shared",), Stop())
            yield {name: own.predict_curves(shared, style, Stop()) for name, own in decoders.items()}


def _cents(one: Array, other: Array) -> Array:
    """Differences of pitch where both are voiced."""
    voiced = (one > MIN_VOICED_HZ) & (other > MIN_VOICED_HZ)
    return np.asarray(1200 * np.abs(np.log2(one[voiced] / other[voiced])), np.float32)


def curves() -> None:
    """Print the differences."""
    found = list(_predicted())
    rows = []
    for name, reference in _PAIRS:
        pairs = [(own[name], own[reference]) for own in found]
        cents = [_cents(one.pitch, other.pitch) for one, other in pairs]
        energy = [(np.abs(a.energy - b.energy) / b.energy.std()).ravel() for a, b in pairs]
        voicing = np.concatenate(
            [((a.pitch > MIN_VOICED_HZ) != (b.pitch > MIN_VOICED_HZ)).ravel() for a, b in pairs]
        )
        middles = [median(each) for each in cents]
        rows.append(
            [
                f"{name} ÷ {reference}",
                f"{median(middles):.2f}; {max(middles):.2f} cents",
                f"{np.percentile(np.concatenate(cents), 95):.2f} cents",
                f"{voicing.mean():.3%}",
                f"{np.median(np.concatenate(energy)):.4f}; {max(each.max() for each in energy):.3f}",
            ]
        )
    head = (
        f"{len(found)} sentences {', '.join(_LANGUAGES)}",
        *("pitch, median; the worst sentence's", "p95", "voiced in one only"),
        "energy ÷ its deviation, median; most",
    )
    print("Pitch and energy, of the same durations:\n")
    print(table(head, rows) + "\n", flush=True)
