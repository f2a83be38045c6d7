"""Sentences of the benchmarks, our own, by language (BCP 47)."""

# A sentence a line, however long it is.
# ruff: noqa: E501

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
"""A phrase ends within the first six words, so that it can be spoken while the rest is synthesized."""

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
"""No phrase ends that early: an engine without streaming inside a sentence synthesizes all of it first."""

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
"""Sentences that were never used during development: only for judging programs."""

ABOUT_4_S: Sentences = {
    "es": (
        "La vecina del tercero riega sus geranios cada tarde al volver a casa.",
        "Ayer encontramos un mapa muy viejo dentro de un libro de cocina.",
        "El cartero dejó un paquete enorme delante de la puerta del garaje.",
        "Si mañana hace sol, comeremos todos juntos debajo del nogal.",
        "¿Sabes cuándo empieza la película que me recomendaste ayer?",
        "Mis primos viven en una casa de madera junto al faro.",
        "El camión de la mudanza no cabía por la calle estrecha.",
        "Por la noche, las ranas del estanque cantan sin descanso.",
        "El dentista me ha cambiado la cita para el jueves que viene.",
        "La nueva alcaldesa prometió arreglar las aceras del centro.",
    ),
    "en": (
        "The woman upstairs waters her geraniums every evening after work.",
        "Yesterday we found a very old map inside a cookery book.",
        "The postman left a huge parcel right in front of the garage door.",
        "If the sun is out tomorrow, we will all eat under the walnut tree.",
        "Do you know when the film that you recommended begins?",
        "My cousins live in a wooden house next to the lighthouse.",
        "The removal lorry was too wide for our narrow street.",
        "At night, the frogs in the pond sing without a break.",
        "My dentist has moved the appointment to next Thursday.",
        "The new mayor promised to repair every pavement in the centre.",
    ),
    "fr": (
        "La voisine du troisième arrose ses géraniums chaque soir en rentrant.",
        "Hier, nous avons trouvé une très vieille carte dans un livre de cuisine.",
        "Le facteur a laissé un énorme colis devant la porte du garage.",
        "S'il fait beau demain, nous mangerons tous ensemble sous le noyer.",
        "Sais-tu à quelle heure commence le film que tu m'as conseillé ?",
        "Mes cousins habitent une maison en bois tout près du phare.",
        "Le camion de déménagement ne passait pas dans la rue étroite.",
        "La nuit, les grenouilles de l'étang chantent sans arrêt.",
        "Mon dentiste a déplacé le rendez-vous à jeudi prochain.",
        "La nouvelle maire a promis de réparer les trottoirs du centre.",
    ),
}
"""Sentences that take about four seconds."""

ABOUT_7_S: Sentences = {
    "es": (
        "Cuando el barco entró por fin en la bahía, toda la gente del pueblo bajó corriendo al muelle para recibirlo con música y banderas.",
        "El arquitecto explicó que las ventanas grandes dejarían pasar la luz del invierno y guardarían el calor durante toda la noche.",
        "Mi abuela decía que el secreto de una buena sopa está en no tener prisa y en probarla muchas veces antes de servirla.",
        "Antes de apagar el ordenador, guarda una copia de todos los documentos en el disco que está sobre la mesa, por si acaso.",
        "Los excursionistas siguieron el camino de piedras blancas hasta que la niebla les impidió ver el valle y tuvieron que volver.",
        "Aunque el concierto empezó con media hora de retraso, nadie quiso marcharse antes de la última canción de la noche.",
        "El farmacéutico apuntó en la caja cuántas pastillas debía tomar mi padre después de cada comida durante dos semanas.",
        "En el desván de la casa encontramos cartas, fotografías y un reloj que todavía marcaba la hora como el primer día.",
        "La bibliotecaria buscó durante mucho rato una novela que nadie había pedido desde hacía cuarenta años, y al final la encontró.",
        "Para llegar a la ermita hay que cruzar un bosque de hayas y subir después por una escalera de madera que cruje mucho.",
    ),
    "en": (
        "When the ship finally entered the bay, everybody in the village ran down to the harbour to welcome it with music and flags.",
        "The architect explained that the large windows would let in the winter light and still keep the warmth inside for the whole night.",
        "My grandmother used to say that the secret of a good soup is to take your time and to taste it often before it is served.",
        "Before you switch off the computer, save a copy of all the documents on the disk that is lying on the table, just in case.",
        "The hikers followed the path of white stones until the fog became so thick that they lost sight of the valley and had to turn back.",
        "Although the concert began half an hour late, nobody wanted to leave before the very last song was over and the lights came on.",
        "The pharmacist wrote on the box how many tablets my father was supposed to take after each of his meals for the next two weeks.",
        "In the attic of the old house we found letters, photographs and a clock that was still telling the time as it did on its very first day.",
        "The librarian spent a long while looking for a novel that nobody had asked for in more than forty years, and in the end she found it.",
        "To reach the chapel you have to cross a forest of beech trees and then climb a long wooden staircase that creaks at every step.",
    ),
    "fr": (
        "Quand le bateau est enfin entré dans la baie, tout le village est descendu en courant sur le quai pour l'accueillir en musique.",
        "L'architecte a expliqué que les grandes fenêtres laisseraient entrer la lumière d'hiver et garderaient la chaleur toute la nuit.",
        "Ma grand-mère disait que le secret d'une bonne soupe est de prendre son temps et de la goûter très souvent avant de la servir.",
        "Avant d'éteindre l'ordinateur, enregistre une copie de tous les documents sur le disque qui est posé sur la table, par prudence.",
        "Les randonneurs ont suivi le chemin de pierres blanches jusqu'à ce que le brouillard leur cache la vallée et les oblige à rentrer.",
        "Bien que le concert ait commencé avec une demi-heure de retard, personne n'a voulu partir avant la dernière chanson de la soirée.",
        "Le pharmacien a noté sur la boîte combien de comprimés mon père devait prendre après chaque repas pendant deux semaines.",
        "Dans le grenier de la vieille maison, nous avons trouvé des lettres, des photographies et une horloge qui marchait encore parfaitement.",
        "La bibliothécaire a longtemps cherché un roman que personne n'avait demandé depuis plus de quarante ans, et elle a fini par le trouver.",
        "Pour arriver à la chapelle, il faut traverser une forêt de hêtres et monter ensuite un long escalier de bois qui grince à chaque pas.",
    ),
}
"""Sentences that take about seven seconds."""

ABOUT_15_S: Sentences = {
    "es": (
        "Durante muchos años, los pescadores de aquella costa guardaron el secreto de una cueva en la que, según contaban los más viejos, dormía un barco cargado de monedas que nadie se había atrevido a tocar.",
        "La ingeniera que diseñó el nuevo puente explicó ayer en la radio que las obras empezarán a principios de otoño y que, si el tiempo lo permite, los primeros coches podrán cruzarlo antes del próximo verano.",
        "Mi hermano mayor dejó su trabajo en el banco para abrir una pequeña panadería en el barrio donde crecimos, y ahora se levanta cada día a las cuatro de la mañana con una sonrisa que antes no le conocíamos.",
        "Si quieres que las plantas del balcón aguanten todo el mes de agosto sin que nadie las riegue, coloca una botella llena de agua boca abajo en cada maceta y cubre la tierra con paja o con trozos de corteza.",
        "El guía nos pidió que camináramos despacio y en silencio por el sendero del bosque porque, a esa hora de la tarde, los ciervos salen a beber al arroyo y cualquier ruido los asusta y los hace desaparecer.",
        "Después de revisar todas las facturas del último año, la contable descubrió que la empresa había pagado dos veces el alquiler de un almacén que llevaba vacío desde que cerraron la fábrica de muebles.",
        "Cuando por fin arreglaron el reloj de la torre, los vecinos de la plaza tardaron varias semanas en acostumbrarse de nuevo a las campanadas que durante tanto tiempo habían marcado las horas de sus padres.",
        "La novela cuenta la historia de una muchacha que viaja sola en tren hasta el otro extremo del país para devolver un violín que su abuelo había recibido de un desconocido en los primeros días de la guerra.",
        "Aunque el médico le había recomendado que no hiciera ningún esfuerzo durante al menos dos semanas, mi vecino subió al tejado el mismo domingo para cambiar las tejas que se había llevado la tormenta.",
        "En las noches claras de invierno se pueden ver desde la terraza del hotel las luces de los barcos que esperan fuera del puerto y, mucho más lejos, el resplandor de las ciudades que hay al otro lado del mar.",
    ),
    "en": (
        "For many years the fishermen of that coast kept the secret of a cave in which, as the oldest of them used to tell, there lay a ship full of silver coins that no one had ever dared to touch or to sell.",
        "The engineer who designed the new bridge explained on the radio yesterday that the work will begin in early autumn and that, if the weather allows it, the first cars will be able to cross before next summer.",
        "My older brother gave up his job at the bank to open a small bakery in the neighbourhood where we grew up, and now he gets up at four in the morning every day with a smile that we had never seen before.",
        "If you want the plants on your balcony to survive the whole of August without anyone watering them, put a bottle full of water upside down in every pot and cover the soil with straw or with pieces of bark.",
        "The guide asked us to walk slowly and quietly along the forest path because, at that time of the afternoon, the deer come out to drink from the stream and any noise will frighten them and make them disappear.",
        "After checking all of the invoices from the previous year, the accountant discovered that the company had been paying twice for a warehouse that had stood empty since the furniture factory closed its doors.",
        "When the clock in the tower was finally repaired, it took the people who lived around the square several weeks to get used to the bells again, which for so long had marked the hours of their parents' lives.",
        "The novel tells the story of a girl who travels alone by train to the other end of the country to return a violin that her grandfather had been given by a stranger during the first few days of the war.",
        "Although the doctor had told him not to do any heavy work for at least two weeks, my neighbour climbed onto the roof that very Sunday to replace the tiles that had been blown away during the storm.",
        "On clear winter nights you can see from the terrace of the hotel the lights of the ships that are waiting outside the harbour and, much further away, the glow of the cities on the other side of the sea.",
    ),
}
"""Sentences that take about twelve to fifteen seconds."""

WITHOUT_INNER_MARK: Sentences = {
    "es": (
        "El viejo relojero de la esquina todavía repara con sus propias manos todos los relojes que le llevan los vecinos.",
        "Nadie en la oficina recordaba dónde había guardado el antiguo director las llaves del archivo que estaba en el sótano.",
        "Los niños del colegio plantaron veinte manzanos pequeños en el patio que hay detrás del comedor nuevo.",
        "La periodista preguntó al ministro por qué el puente nuevo costaba casi el doble de lo que se había anunciado.",
        "Mi hermano quiere comprar un barco de vela pequeño y dar la vuelta a la isla durante las vacaciones de verano.",
        "El perro de los vecinos ladra cada vez que pasa por la calle el camión que recoge la basura.",
        "Creo que sería mejor esperar en la estación hasta que deje de nevar y vuelvan a circular los trenes.",
        "La panadería que está enfrente del ayuntamiento vende los mejores pasteles de almendra de toda la provincia.",
        "Después de la cena los invitados salieron al jardín para ver las estrellas que brillaban encima de las montañas.",
        "El profesor de música enseñó a sus alumnos una canción muy antigua que había aprendido de sus abuelos en la aldea.",
    ),
    "en": (
        "The old watchmaker on the corner still repairs every clock that his neighbours bring him with his own two hands.",
        "Nobody in the office could remember where the former director had put the keys of the archive in the basement.",
        "The children of the village school planted twenty small apple trees in the yard behind the new dining hall.",
        "The journalist asked the minister why the new bridge cost almost twice as much as they had announced last year.",
        "My brother wants to buy a small sailing boat and travel around the whole island during the summer holidays.",
        "The dog next door barks every time the lorry that collects the rubbish drives slowly down our street.",
        "I think that it would be better to wait at the station until it stops snowing and the trains run again.",
        "The bakery across from the town hall sells the best almond cakes that you can find in the whole county.",
        "After dinner the guests went out into the garden to look at the stars that were shining above the mountains.",
        "The music teacher taught her pupils a very old song that she had learned from her grandparents on the farm.",
    ),
    "fr": (
        "Le vieil horloger du coin répare encore de ses propres mains toutes les montres que ses voisins lui apportent.",
        "Personne dans le bureau ne savait où le directeur précédent avait rangé les clés des archives de la cave.",
        "Les enfants de l'école ont planté vingt petits pommiers dans la cour qui se trouve derrière la nouvelle cantine.",
        "La journaliste a demandé au ministre pourquoi le nouveau pont coûtait presque deux fois plus cher que prévu.",
        "Mon frère veut acheter un petit bateau à voile et faire le tour de l'île pendant les vacances d'été.",
        "Le chien des voisins aboie chaque fois que le camion qui ramasse les ordures passe dans notre rue.",
        "Je crois qu'il vaudrait mieux attendre à la gare que la neige cesse et que les trains roulent de nouveau.",
        "La boulangerie en face de la mairie vend les meilleurs gâteaux aux amandes que l'on trouve dans toute la région.",
        "Après le dîner les invités sont sortis dans le jardin pour regarder les étoiles qui brillaient au-dessus des montagnes.",
        "La maîtresse de musique a appris à ses élèves une chanson très ancienne que ses grands-parents chantaient à la ferme.",
    ),
}
"""15 to 25 words without punctuation between them, for text that is spoken while it is written."""

LANGUAGE_NAMES = {
    "es": "spanish",
    "en": "english",
    "fr": "french",
    "zh": "chinese",
    "ja": "japanese",
    "hi": "hindi",
}
"""Names of the languages in the Kani protocol."""


def mixed(*groups: Sentences) -> list[tuple[str, str]]:
    """All sentences of the groups as (language, text), languages and groups taking turns."""
    columns = [[(language, text) for text in group[language]] for group in groups for language in group]
    return [sentence for row in zip(*columns, strict=True) for sentence in row]


def one_minute_text(client: int) -> str:
    """About a minute of Spanish, beginning with another sentence for each client."""
    sentences = WITH_EARLY_PHRASE["es"] + WITHOUT_EARLY_PHRASE["es"]
    first = client % len(sentences)
    return " ".join(sentences[first:] + sentences[:first])
