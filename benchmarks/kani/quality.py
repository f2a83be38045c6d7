"""Word errors of a real Kani checkpoint by whisper-base, and its time to first audio."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import single_engine
from benchmarks.report import median, ms, percentile, report_section, table
from benchmarks.sentences import HELD_OUT, mixed
from benchmarks.single_engine import TimedSpeech
from kani.core.errors import EngineFailed, EngineUnavailable
from kani.engines.kani.engine import KaniEngine
from kani.engines.kani.model.loader import DEFAULT_CODEC, DEFAULT_MODEL, PRECISIONS
from kani.engines.kani.settings import KaniSettings
from kani.engines.plugin import Resources
from kani.server import settings
from tests.judges.judge import hear, wrong_words


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence; ``spoken`` is None where the engine failed."""

    language: str
    text: str
    spoken: TimedSpeech | None


async def say_all(engine: KaniEngine) -> tuple[str, list[Said]]:
    """The engine's version, and every sentence, after two to warm up.

    Raises EngineUnavailable without weights.
    """
    await engine.start()
    try:
        sentences = [one for one in mixed(HELD_OUT) if one[0] in engine.info.default_voices]
        for language, text in sentences[:2]:
            await say(engine, language, text)
        said = [Said(language, text, await say(engine, language, text)) for language, text in sentences]
        return engine.info.version, said
    finally:
        await engine.stop()


async def say(engine: KaniEngine, language: str, text: str) -> TimedSpeech | None:
    """Speak a sentence; None if the model produces no speech."""
    try:
        return await single_engine.speak(engine, language, text)
    except EngineFailed:
        return None


def show(said: Sequence[Said]) -> None:
    """Print word errors and times by language, and every sentence with errors."""
    counts: dict[str, list[tuple[int, int]]] = {}
    by_language: dict[str, list[Said]] = {}
    errors = []
    for one in said:
        heard = hear(one.spoken.samples, one.spoken.sample_rate, one.language) if one.spoken else ""
        wrong, words = wrong_words(one.text, heard, one.language)
        if wrong:
            errors.append([str(wrong), one.text, heard])
        for language in ("both", one.language):
            counts.setdefault(language, []).append((wrong, words))
            by_language.setdefault(language, []).append(one)
    rows = []
    for language, chosen in by_language.items():
        wrong, words = (sum(column) for column in zip(*counts[language], strict=True))
        spoken = [one.spoken for one in chosen if one.spoken is not None]
        firsts = [one.first_s for one in spoken]
        rows.append(
            [
                *(
                    language,
                    f"{len(spoken)} of {len(chosen)}",
                    str(words),
                    str(wrong),
                    f"{wrong / words:.1%}",
                ),
                *((ms(median(firsts)), ms(percentile(firsts, 95))) if spoken else ("", "")),
                f"{median([one.whole_s / one.duration_s for one in spoken]):.3f}" if spoken else "",
                f"{median([one.duration_s for one in spoken]):.1f} s" if spoken else "",
            ]
        )
    head = (
        *("language", "sentences said", "words", "wrong", "word error rate"),
        *("first audio, median", "p95", "real-time factor", "audio, median"),
    )
    print(table(head, rows) + "\n")
    if errors:
        print(table(("wrong", "to say", "heard"), errors))


def main() -> None:
    """The command line."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.kani.quality", description=__doc__)
    options.add_argument(
        "--model", default=DEFAULT_MODEL, help="a checkpoint's folder or its name on a hub (%(default)s)"
    )
    options.add_argument(
        "--codec", default=DEFAULT_CODEC, help="a .nemo file or its name on a hub (%(default)s)"
    )
    options.add_argument("--device", default="auto", help="auto, cpu or cuda")
    options.add_argument("--precision", choices=PRECISIONS, default="auto")
    given = options.parse_args()
    resources = Resources(
        settings.load({}).cache_dir / "kani",
        threads=single_engine.THREADS,
        device=given.device,
        precision=given.precision,
    )
    engine = KaniEngine(KaniSettings(model=given.model, codec=given.codec), resources)
    with report_section(f"Words of {given.model} heard wrong by whisper-base", "torch", "faster-whisper"):
        try:
            version, said = asyncio.run(say_all(engine))
        except EngineUnavailable as error:
            print(f"Not measured: {error}")
            return
        print(f"{version}, {single_engine.THREADS} threads.\n")
        show(said)


if __name__ == "__main__":
    main()
