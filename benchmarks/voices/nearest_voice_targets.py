"""Held-out speakers for the nearest voice, each in two recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soxr

from kani.core.types import Recording, Samples
from kani.engines.espeak.native import NativeEspeak, SynthesisParameters
from kani.engines.kokoro.voices import TIMBRE_SIZE, Voices
from kani.text.languages import primary

# Some ten seconds to be heard, and others to say how alike two recordings of one speaker are at best.
RECORDED: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "es": (
        (
            "La vecina del quinto tiene un gato gris que duerme en la ventana.",
            "Cada domingo compramos fruta fresca en el mercado de la plaza mayor.",
            "No me importa esperar, pero prefiero que me digas cuánto tiempo falta.",
        ),
        (
            "El camino hasta la ermita sube despacio entre olivos y piedras.",
            "Ponte el abrigo, que por la noche refresca mucho en la sierra.",
        ),
    ),
    "en": (
        (
            "The woman on the fifth floor has a grey cat that sleeps in the window.",
            "Every Sunday we buy fresh fruit from the market on the main square.",
            "I do not mind waiting, but I would rather know how long it takes.",
        ),
        (
            "The path to the chapel climbs slowly between olive trees and stones.",
            "Put your coat on, because the nights are cold up in the hills.",
        ),
    ),
    "fr": (
        (
            "La voisine du cinquième a un chat gris qui dort sur la fenêtre.",
            "Chaque dimanche, nous achetons des fruits frais au marché de la place.",
            "Cela ne me gêne pas d'attendre, mais dites-moi combien de temps il faut.",
        ),
        (
            "Le chemin de la chapelle monte doucement entre les oliviers.",
            "Mets ton manteau, les nuits sont froides là-haut.",
        ),
    ),
    "it": (
        (
            "La vicina del quinto piano ha un gatto grigio che dorme alla finestra.",
            "Ogni domenica compriamo la frutta fresca al mercato della piazza.",
            "Non mi dispiace aspettare, ma vorrei sapere quanto tempo ci vuole.",
        ),
        (
            "Il sentiero per la cappella sale piano tra gli ulivi e le pietre.",
            "Mettiti il cappotto, perché di notte fa freddo in collina.",
        ),
    ),
}

KOKORO, ESPEAK, WARPED = "Kokoro", "espeak-ng", "warped"

SayAlone = Callable[[str, str], Samples]
"""Says a text as a voice of Kokoro's by itself, at 24 kHz."""

_RATE = 24_000
_NEAR_DUPLICATE = 1.1
_SYMBOLS = 100


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A speaker. language: of the cloned speech; without: voices that are held out."""

    name: str
    kind: str
    language: str
    recording: Recording
    again: Recording
    without: frozenset[str]


# Voice, and the language that it is to be cloned into.
_HELD_OUT = (
    *(("af_bella", "es"), ("af_nicole", "es"), ("am_michael", "es"), ("bm_george", "es")),
    *(("bf_emma", "es"), ("af_sky", "es"), ("im_nicola", "es")),
    *(("af_heart", "en"), ("am_fenrir", "en"), ("bf_isabella", "en"), ("if_sara", "en")),
)
# Voice, how many times as high all of its spectrum is, and the language.
_WARPS = (("am_puck", 0.9, "es"), ("af_sarah", 1.12, "es"), ("bf_lily", 0.88, "en"), ("bm_lewis", 1.15, "en"))
# espeak-ng's voice and variant, and the language.
_VARIANTS = (
    *(("es+m3", "es"), ("es-419+f2", "es"), ("fr+m5", "es")),
    *(("en-us+m7", "en"), ("en-gb-x-rp+f4", "en")),
)


def targets(voices: Voices, say_alone: SayAlone, folder: Path) -> Iterator[Target]:
    """The twenty speakers; their recordings are kept in ``folder``."""
    languages = {voice.id: primary(voice.language) for voice in voices.all}
    espeak = NativeEspeak()
    for voice, factor, language in (*((voice, 1.0, language) for voice, language in _HELD_OUT), *_WARPS):

        def said(texts: Sequence[str], voice: str = voice, factor: float = factor) -> Recording:
            return _warped(np.concatenate([say_alone(text, voice) for text in texts]), factor)

        name, kind = (voice, KOKORO) if factor == 1 else (f"{voice} × {factor:g}", WARPED)
        recordings = _kept(folder / f"{name}.target.npz", RECORDED[languages[voice]], said)
        yield Target(name, kind, language, *recordings, near_duplicates(voice, voices))
    for variant, language in _VARIANTS:
        recordings = _kept(
            folder / f"{variant}.target.npz",
            RECORDED[primary(variant.partition("+")[0])],
            partial(_said, espeak, variant),
        )
        yield Target(variant, ESPEAK, language, *recordings, frozenset())


def _kept(
    path: Path, texts: tuple[Sequence[str], Sequence[str]], said: Callable[[Sequence[str]], Recording]
) -> tuple[Recording, Recording]:
    """Both recordings, from their file or generated now."""
    if not path.exists():
        recordings = [said(part) for part in texts]
        keep(path, {f"{at}": one.samples for at, one in enumerate(recordings)}, recordings[0].sample_rate)
    with np.load(path) as arrays:
        rate = int(arrays["rate"])
        return Recording(arrays["0"], rate), Recording(arrays["1"], rate)


def keep(path: Path, arrays: Mapping[str, Samples], rate: int) -> None:
    """Write arrays into a file atomically."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, **arrays, rate=rate)
    part.rename(path)


def near_duplicates(voice: str, voices: Voices) -> frozenset[str]:
    """A voice and those nearly equal to it: the makers gave one style to several languages."""
    own = voices.style(voice, _SYMBOLS)[0, :TIMBRE_SIZE]
    return frozenset(
        other.id
        for other in voices.all
        if np.linalg.norm(voices.style(other.id, _SYMBOLS)[0, :TIMBRE_SIZE] - own) < _NEAR_DUPLICATE
    )


def _warped(samples: Samples, factor: float) -> Recording:
    """Pitch and formants ``factor`` times as high (and all of it as much faster)."""
    return Recording(np.asarray(soxr.resample(samples, round(_RATE * factor), _RATE), np.float32), _RATE)


def _said(espeak: NativeEspeak, voice: str, texts: Sequence[str]) -> Recording:
    pcm = bytearray()

    def hear(piece: bytes, words: object, phonemes: object) -> bool:
        pcm.extend(piece)
        return True

    espeak.synthesize(" ".join(texts), voice, SynthesisParameters(), hear)
    return Recording(np.frombuffer(bytes(pcm), np.int16).astype(np.float32) / 32768, espeak.sample_rate)
