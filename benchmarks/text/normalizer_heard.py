"""Word errors of whisper-base in spoken sentences with numbers, times and money.

The written and the recognised text are both normalised before they are compared, since Whisper writes "19:30"
and "€1.250" at will: an error is a number that was spoken or recognised otherwise.
"""

# A sentence a line, however long it is.

from __future__ import annotations

import asyncio

from benchmarks.playback_client import SAMPLE_RATE, connected, request_speech
from benchmarks.report import table
from benchmarks.sentences import Sentences
from benchmarks.server_process import Server
from kani.core.types import Samples
from kani.text.normalizer import NormalizerOptions, normalize
from tests.judges.judge import hear, wrong_words

WITH_FIGURES: Sentences = {
    "es": (
        "La reunión empieza a las 19:30 en la sala 4.",
        "El billete de tren cuesta 45,50 € por persona.",
        "Mi hermana nació el 12/10/1992 en Sevilla.",
        "El museo abre de 9:00 a 14:30 todos los días.",
        "Compramos 21 mesas y 36 sillas para la escuela.",
        "El rey Felipe VI visitó la ciudad en 2019.",
        "La temperatura bajará mañana hasta -3 °C.",
        "El precio subió un 12 % en los últimos 6 meses.",
        "La casa tiene 120 m² y cuesta 250.000 €.",
        "El vuelo sale a las 7:05 y llega a las 10:45.",
        "El Dr. Ruiz atiende en la 3ª planta.",
        "Necesito 2,5 kg de patatas y 500 g de queso.",
        "El límite en esta calle es de 30 km/h.",
        "Colón llegó a América en 1492.",
        "Te debo 20 € desde el 3 de mayo.",
        "La Sra. López vive en el n.º 15 de esta calle.",
        "Ganaron por 3 a 1 en el minuto 89.",
        "El castillo se construyó en el siglo XV.",
        "La película dura 2 h 15 min sin contar el descanso.",
        "Quedan 100 entradas a 18,90 € cada una.",
        "La tienda cierra a las 20:00 los sábados.",
        "El 85 % de los alumnos aprobó el examen.",
        "Corrió los 10 km en 52 minutos.",
        "La autopista se cortó en el km 201 durante 4 horas.",
        "El alquiler son 850 € al mes más 60 € de gastos.",
        "Mezcla 1/2 litro de leche con 3 huevos.",
        "El capítulo 7 empieza en la pág. 143.",
        "Viven 1.200 personas en 5 pueblos pequeños.",
        "La cita es el 15/03/2025 a las 11:15.",
        "El avión vuela a 900 km/h y a 10.000 metros.",
    ),
    "en": (
        "The meeting starts at 7:30 pm in room 4.",
        "A train ticket costs $45.50 per person.",
        "My sister was born on May 12, 1992.",
        "The museum opens at 9:00 am and closes at 5:30 pm.",
        "We bought 21 tables and 36 chairs for the school.",
        "King Henry VIII was crowned in 1509.",
        "The temperature will drop to -3 °C tomorrow.",
        "Prices rose by 12% in the last 6 months.",
        "The house costs $250,000 and has 3 bedrooms.",
        "The flight leaves at 7:05 and lands at 10:45.",
        "Dr. Smith works on the 3rd floor.",
        "I need 2.5 kg of potatoes and 500 g of cheese.",
        "The limit on this road is 30 mph.",
        "Columbus reached America in 1492.",
        "I have owed you $20 since March 3rd.",
        "Mrs. Brown lives at 15 Garden St.",
        "They won 3 to 1 in the 89th minute.",
        "World War II ended in 1945.",
        "The film lasts 2 hours and 15 minutes.",
        "There are 100 seats left at $18.90 each.",
        "The shop closes at 8 pm on Saturdays.",
        "About 85% of the students passed the exam.",
        "She ran 10 km in 52 minutes.",
        "The road was closed for 4 hours on July 4, 2023.",
        "The rent is $850 a month plus $60 for heating.",
        "Mix 1/2 cup of milk with 3 eggs.",
        "Chapter 7 begins on page 143.",
        "About 1,200 people live in 5 small villages.",
        "Your appointment is on 3/15/2025 at 11:15.",
        "The plane flies at 560 mph and at 33,000 feet.",
    ),
}


def in_words(text: str, language: str) -> str:
    """``text`` in the form that is compared."""
    return normalize(text, 0, NormalizerOptions(language=language)).text


async def _say_all(url: str) -> list[tuple[str, str, Samples]]:
    async with connected(url) as websocket:
        return [
            (language, text, (await request_speech(websocket, language, text)).samples)
            for language, sentences in WITH_FIGURES.items()
            for text in sentences
        ]


def measure_heard() -> None:
    """Speak all sentences with Kokoro, and print the share of words that are recognised wrong."""
    with Server("--engine", "kokoro") as server:
        said = asyncio.run(_say_all(server.url))
    found: dict[str, list[tuple[int, int]]] = {}
    errors = []
    for language, text, samples in said:
        heard = hear(samples, SAMPLE_RATE, language)
        wrong, words = wrong_words(in_words(text, language), in_words(heard, language), language)
        for group in (language, "both"):
            found.setdefault(group, []).append((wrong, words))
        if wrong:
            errors.append([language, str(wrong), text, heard])
    rows = []
    for group in (*WITH_FIGURES, "both"):
        counts = found[group]
        wrong, words = (sum(column) for column in zip(*counts, strict=True))
        rows.append([group, str(len(counts)), str(words), str(wrong), f"{wrong / words:.1%}"])
    print(table(("language", "sentences", "words", "wrong", "word error rate"), rows))
    if errors:
        print("\n" + table(("", "wrong", "written", "heard"), errors))
