"""Conversations of twenty turns in Spanish and English: what the user says, and what is answered."""

from __future__ import annotations

Script = tuple[tuple[str, str], ...]
"""Turns in their order: the user's words, and the answer."""

SCRIPTS: dict[str, Script] = {
    "es": (
        ("Buenos días, ¿me ayudas a preparar un viaje?", "Claro que sí. ¿Adónde quieres ir?"),
        ("Quiero ir a Lisboa con mi hermana.", "Qué buena idea. ¿Cuántos días os vais a quedar?"),
        ("Nos quedamos cuatro días, desde el jueves.", "Perfecto. ¿Preferís ir en tren o en avión?"),
        ("Prefiero el tren, porque no me gusta volar.", "Entonces salís de noche y llegáis por la mañana."),
        ("¿Cuánto cuesta el billete más barato?", "El más barato cuesta cuarenta y cinco euros."),
        ("¿Y hay camas en ese tren?", "Sí, hay camas, pero cuestan veinte euros más."),
        ("Entonces reserva dos camas, por favor.", "Muy bien, he reservado dos camas para el jueves."),
        ("Ahora necesito un hotel cerca del centro.", "Hay uno pequeño en una calle muy tranquila."),
        ("¿Tiene desayuno por la mañana?", "Sí, el desayuno es desde las siete hasta las diez."),
        ("¿Cómo son las habitaciones?", "Son claras y tienen vistas al río."),
        ("Me gusta, reserva una para las dos.", "Hecho. La habitación tiene dos camas."),
        ("¿Qué podemos ver el primer día?", "Podéis subir al castillo y pasear por el barrio antiguo."),
        ("¿Está muy lejos del hotel?", "No, se llega a pie en un cuarto de hora."),
        ("¿Qué tiempo va a hacer?", "Va a hacer sol, pero las noches son frescas."),
        ("Entonces me llevo una chaqueta.", "Sí, y también unos zapatos cómodos."),
        ("¿Dónde se come buen pescado?", "En el puerto hay un restaurante muy conocido."),
        ("Reserva una mesa para el viernes a las nueve.", "La mesa está reservada para dos personas."),
        ("¿Puedo pagar con tarjeta en todas partes?", "Casi siempre, pero lleva también algo de dinero."),
        ("Recuérdame el viaje el miércoles por la tarde.", "De acuerdo, te lo recuerdo a las seis."),
        ("Muchas gracias, eso es todo.", "De nada. Que tengáis un buen viaje."),
    ),
    "en": (
        ("Good morning, can you help me plan a dinner?", "Of course. How many people are coming?"),
        ("There will be six of us on Saturday.", "That sounds nice. Is there anything they do not eat?"),
        ("One of them does not eat any meat.", "Then I suggest a vegetable soup and a large salad."),
        ("What could we have after the soup?", "A baked fish with potatoes would be easy to make."),
        ("How long does the fish take?", "It takes about forty minutes in a hot oven."),
        ("And what should my friend eat then?", "You could fill some peppers with rice and cheese."),
        ("That is a very good idea.", "The peppers can bake together with the fish."),
        ("What do I need to buy for all that?", "You need two fish, six potatoes, and four peppers."),
        ("Please add lemons to the list as well.", "I have added three lemons to your list."),
        ("Do I still have any rice at home?", "Yes, there is one full bag in the kitchen."),
        ("What can I make for dessert?", "A cold apple cake is simple and everybody likes it."),
        ("Can I bake the cake a day before?", "Yes, it is even better on the second day."),
        ("How many apples do I need?", "Five large apples are enough for one cake."),
        ("When should I start cooking on Saturday?", "If they come at seven, you should start at five."),
        ("Which music would you play for them?", "Something quiet, perhaps a guitar or a piano."),
        ("Should I ask them to bring something?", "They could bring the drinks and some bread."),
        ("Write a short message to all of them.", "I have written it, and it is ready to be sent."),
        ("Tell them that the door will be open.", "I have added that to the end of the message."),
        ("Remind me to go shopping on Friday.", "I will remind you on Friday at noon."),
        ("Thank you, that is all for today.", "You are welcome. Enjoy your evening together."),
    ),
}
