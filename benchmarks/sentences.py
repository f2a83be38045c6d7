"""What the benchmarks say: sentences of our own, by language (BCP 47)."""

from __future__ import annotations

from collections.abc import Mapping

Sentences = Mapping[str, tuple[str, ...]]
"""By language."""

WITH_EARLY_PHRASE: Sentences = {
    "es": (
        "Claro que sí, ahora mismo te busco la dirección de la farmacia más cercana.",
        "Buenos días, el autobús del aeropuerto sale hoy con un poco de retraso.",
        "Si quieres, puedo leerte los mensajes que llegaron mientras dormías.",
        "Según el pronóstico, esta tarde lloverá en toda la costa del norte.",
        "Perdona, no he entendido el nombre de la calle que acabas de decir.",
        "De acuerdo, apago las luces del salón y bajo un poco las persianas.",
        "Por desgracia, ya no quedan entradas para el concierto del sábado.",
        "Después de comer, mi abuela siempre contaba historias del pueblo.",
        "En mi opinión, la segunda película tiene un final mucho más triste.",
        "Mañana por la mañana, a las nueve, tienes una reunión con el equipo.",
    ),
    "en": (
        "Of course, I can read the whole recipe to you while you are cooking.",
        "Good evening, your table by the window will be ready in ten minutes.",
        "If you like, we could take the train and walk back along the river.",
        "To be honest, nobody expected the old bridge to survive the winter.",
        "Sorry, I could not find a single song with that title in your library.",
        "All right, the alarm is set and the kitchen lights are switched off.",
        "Two years later, the same gardener planted roses around the fountain.",
        "Before you leave, remember to water the plants on the balcony.",
        "For some reason, the printer only works when the door is wide open.",
        "Well done, you have finished every exercise in this chapter.",
    ),
}
"""A phrase ends within the first six words, so that it can be spoken while the rest is made."""

WITHOUT_EARLY_PHRASE: Sentences = {
    "es": (
        "El panadero de nuestra plaza abre su tienda antes de que salga el sol.",
        "Mi hermana pequeña quiere aprender a tocar el violín este verano.",
        "La biblioteca del barrio presta también juegos y herramientas de jardín.",
        "Los pescadores volvieron al puerto con las redes completamente vacías.",
        "Nadie sabe todavía quién escribió aquella carta tan larga y tan amable.",
        "El médico me recomendó caminar media hora todos los días sin falta.",
        "Tu maleta azul está guardada en el armario grande del pasillo.",
        "La profesora explicó el problema dos veces con mucha paciencia.",
        "Nuestro tren llegará a la estación central dentro de quince minutos.",
        "El museo guarda una colección enorme de relojes antiguos de pared.",
    ),
    "en": (
        "The baker on our square opens his shop long before the sun comes up.",
        "My younger sister wants to learn how to play the violin this summer.",
        "The small museum behind the station keeps a collection of old maps.",
        "Nobody could explain why the lighthouse had been painted bright green.",
        "Your blue suitcase is standing next to the wardrobe in the hall.",
        "The doctor told me to walk for half an hour every single day.",
        "Our neighbours are building a wooden house for their grandchildren.",
        "The teacher explained the difficult problem twice with great patience.",
        "A heavy storm closed the mountain road for almost the entire week.",
        "The new assistant answers every question in a calm and friendly voice.",
    ),
}
"""No phrase ends that early: an engine that doesn't stream inside a sentence makes all of it first."""

HELD_OUT: Sentences = {
    "es": (
        "La tormenta de anoche dejó sin luz a casi todo el valle.",
        "¿Podrías decirme dónde está la parada del tranvía?",
        "Compramos naranjas, queso fresco y dos barras de pan en el mercado.",
        "El gato duerme sobre la silla de mi abuelo desde que empezó el frío.",
        "Cuando termine la obra, el ayuntamiento plantará árboles en la avenida.",
        "No olvides cerrar la ventana de la cocina antes de salir de casa.",
        "Durante la guerra, muchas familias cruzaron la frontera a pie.",
        "El agua del lago estaba tan tranquila que parecía un espejo.",
        "¡Qué alegría verte después de tanto tiempo!",
        "Los científicos descubrieron una nueva especie de mariposa en la selva.",
        "Mi vecino repara bicicletas viejas y luego las regala a los niños.",
        "A pesar de la lluvia, el partido se jugó hasta el último minuto.",
        "La cocinera añadió un poco de sal, probó la sopa y sonrió.",
        "Este libro cuenta la historia de un marinero que perdió su barco.",
        "Tengo que llamar al banco porque mi tarjeta no funciona.",
        "El profesor nos pidió que escribiéramos un resumen del capítulo tercero.",
        "Hace mucho calor, así que vamos a nadar al río esta tarde.",
        "La orquesta ensaya todos los jueves en el teatro municipal.",
        "Cada invierno, las cigüeñas vuelven al campanario de la iglesia.",
        "Gracias por tu ayuda, sin ti no habríamos terminado a tiempo.",
    ),
    "en": (
        "Last night's storm left almost the whole valley without power.",
        "Could you tell me where the nearest tram stop is?",
        "We bought oranges, fresh cheese and two loaves of bread at the market.",
        "The cat has been sleeping on my grandfather's chair since it got cold.",
        "When the work is finished, the council will plant trees along the avenue.",
        "Please close the kitchen window before you leave the house.",
        "During the war, many families crossed the border on foot.",
        "The water of the lake was so still that it looked like a mirror.",
        "What a pleasure to see you after such a long time!",
        "Scientists discovered a new species of butterfly in the rain forest.",
        "My neighbour repairs old bicycles and then gives them to children.",
        "In spite of the rain, the match was played until the last minute.",
        "The cook added a pinch of salt, tasted the soup and smiled.",
        "This book tells the story of a sailor who lost his ship.",
        "I have to call the bank because my card does not work.",
        "The professor asked us to write a summary of the third chapter.",
        "It is very hot, so we are going to swim in the river this afternoon.",
        "The orchestra rehearses every Thursday in the town theatre.",
        "Every winter, the storks return to the tower of the church.",
        "Thank you for your help, we would never have finished in time without you.",
    ),
}
"""Sentences that nobody listened to while the server was built: for ``benchmarks.words`` alone."""

LANGUAGE_NAMES = {"es": "spanish", "en": "english"}
"""What the Kani protocol calls them."""


def mixed(*groups: Sentences) -> list[tuple[str, str]]:
    """All sentences of the groups as (language, text), languages and groups taking turns."""
    columns = [[(language, text) for text in group[language]] for group in groups for language in group]
    return [sentence for row in zip(*columns, strict=True) for sentence in row]


def minute(client: int) -> str:
    """About a minute of Spanish, beginning with another sentence for each client."""
    sentences = WITH_EARLY_PHRASE["es"] + WITHOUT_EARLY_PHRASE["es"]
    first = client % len(sentences)
    return " ".join(sentences[first:] + sentences[:first])
