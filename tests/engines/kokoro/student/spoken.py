"""Voices of the students that ship, their languages, and texts that tests let them say."""

from __future__ import annotations

from dataclasses import dataclass

from kani.core.types import Samples, Segment, Span
from kani.engines.kokoro.engine import KokoroEngine
from tests.support.kokoro import Writer, chunks_of, joined


@dataclass(frozen=True, slots=True)
class Spoken:
    """A student's voice, and texts for it.

    text: with commas. written: long sentences without a mark inside, where a pause would be one too many.
    """

    voice: str
    language: str
    text: str
    written: tuple[str, ...]

    async def say(self, engine: KokoroEngine, text: str, **how: object) -> tuple[Samples, list[Span]]:
        """Return samples and word times of ``text``; how: fields of the segment."""
        return joined(await chunks_of(engine, Segment(text, self.voice, self.language, **how)))  # type: ignore[arg-type]

    async def write(self, engine: KokoroEngine, text: str) -> tuple[Samples, list[Span]]:
        """Return what is spoken of a text that comes word by word."""
        segment = Segment("", self.voice, self.language)
        chunks = [chunk async for chunk in engine.stream(segment, Writer(text, 1).text)]
        assert len(chunks) > 2
        return joined(chunks)


ENGLISH = Spoken(
    "af_heart",
    "en",
    "My grandmother used to say that the secret of a good soup is patience, salt, and time.",
    (
        "The guide asked us to walk slowly and quietly along the forest path because at that time of the "
        "afternoon the deer come out to drink from the stream and any noise will frighten them.",
        "She opened the old wooden box that her father had left in the attic and found a map of the island "
        "with a red cross near the lighthouse.",
        "If you want to catch the early train tomorrow you should pack your bags tonight and ask the man at "
        "the desk to call a taxi for half past five.",
    ),
)

SPANISH = Spoken(
    "ef_dora",
    "es",
    "Mi abuela decía que el secreto de una buena sopa es la paciencia, la sal y el tiempo.",
    (
        "El guía nos pidió caminar despacio y en silencio por el sendero del bosque porque a esa hora "
        "de la tarde los animales bajan al río a beber agua y cualquier ruido los asusta.",
        "Abrió la vieja caja de madera que su padre había dejado en el desván y encontró un mapa de la isla "
        "con una cruz roja cerca del faro.",
        "Si quieres tomar el primer tren de mañana deberías hacer la maleta esta noche y pedirle al señor de "
        "la recepción que llame a un taxi para las cinco y media.",
    ),
)

STUDENTS = {each.voice: each for each in (ENGLISH, SPANISH)}
