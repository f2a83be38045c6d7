"""Sentences for the benchmark of word times: none was used while the alignment was tuned."""

from __future__ import annotations

from benchmarks.sentences import Sentences

UNSEEN: Sentences = {
    "es": (
        "El apicultor recogió la miel de siete colmenas antes de que llegara el viento del sur.",
        "¿Quién dejó abierta la verja del jardín durante toda la noche?",
        "A mi tía le encantan los crucigramas, el té con limón y las novelas de misterio.",
        "El submarino amarillo descendió despacio hasta tocar la arena del fondo.",
        "Por cierto, el taller cierra los viernes a las 14 horas.",
        "Tres ciclistas empapados llamaron a la puerta del albergue pidiendo mantas.",
        "Si te sobra tiempo, pásate por la imprenta y recoge los carteles.",
        "La científica observaba los glaciares desde una cabaña diminuta.",
        "No había visto jamás un cielo tan limpio, tan quieto, tan inmenso.",
        "Las golondrinas anidan bajo el tejado de la vieja fábrica de jabón.",
        "Hoy he soñado que pilotaba un globo sobre los tejados de Lisboa.",
        "El fontanero encontró la fuga detrás del azulejo roto y la arregló en un rato.",
        "Vuelve pronto, que la paella no espera a nadie.",
        "En aquella época los zapateros cosían cada suela con hilo encerado.",
        "¡Qué susto nos dio el trueno cuando jugábamos a las cartas!",
    ),
    "en": (
        "The beekeeper collected honey from seven hives before the southern wind arrived.",
        "Who left the garden gate open throughout the night?",
        "My aunt loves crossword puzzles, tea with lemon and mystery novels.",
        "A yellow submarine sank slowly until it touched the sand at the bottom.",
        "By the way, the workshop closes at 4 on Fridays.",
        "Three soaking wet cyclists knocked on the door of the hostel asking for blankets.",
        "If you have time to spare, drop in at the printer's and fetch the posters.",
        "From a tiny cabin the scientist kept watching the glaciers.",
        "I had never seen a sky so clear, so still, so immense.",
        "Swallows nest beneath the roof of the former soap factory.",
        "I dreamt that I was steering a balloon above the roofs of Lisbon.",
        "The plumber found the leak behind a broken tile and fixed it in no time.",
        "Come back soon, because dinner waits for nobody.",
        "In those days every cobbler stitched the soles with waxed thread.",
        "What a fright the thunder gave us while we were playing cards!",
    ),
    "fr": (
        "L'apiculteur a récolté le miel de sept ruches avant l'arrivée du vent du sud.",
        "Qui a laissé le portail du jardin ouvert pendant toute la nuit ?",
        "Ma tante adore les mots croisés, le thé au citron et les romans policiers.",
        "Un sous-marin jaune descendait lentement jusqu'à toucher le sable.",
        "Au fait, l'atelier ferme à 16 heures le vendredi.",
        "Trois cyclistes trempés ont frappé à la porte de l'auberge pour demander des couvertures.",
        "Si tu as un moment, passe chez l'imprimeur et prends les affiches.",
        "La chercheuse observait les glaciers depuis une cabane minuscule.",
        "Je n'avais jamais vu un ciel aussi clair, aussi calme, aussi vaste.",
        "Les hirondelles nichent sous le toit de l'ancienne savonnerie.",
        "Cette nuit, j'ai rêvé que je pilotais un ballon au-dessus de Lisbonne.",
        "Le plombier a trouvé la fuite derrière un carreau cassé et l'a vite réparée.",
        "Reviens vite, le dîner n'attend personne.",
        "À cette époque, les cordonniers cousaient chaque semelle avec du fil ciré.",
        "Quelle peur nous a faite le tonnerre pendant que nous jouions aux cartes !",
    ),
    "it": (
        "L'apicoltore raccolse il miele da sette alveari prima che arrivasse il vento del sud.",
        "Chi ha lasciato aperto il cancello del giardino per tutta la notte?",
        "Mia zia adora i cruciverba, il tè al limone e i romanzi gialli.",
        "Un sottomarino giallo scendeva lentamente fino a toccare la sabbia.",
        "A proposito, la bottega chiude alle 16 il venerdì.",
        "Tre ciclisti fradici bussarono alla porta dell'ostello chiedendo delle coperte.",
        "Se ti avanza tempo, passa in tipografia e ritira i manifesti.",
        "La ricercatrice osservava i ghiacciai da una capanna minuscola.",
        "Non avevo mai visto un cielo così limpido, così fermo, così immenso.",
        "Le rondini fanno il nido sotto il tetto del vecchio saponificio.",
        "Stanotte ho sognato di guidare una mongolfiera sopra i tetti di Lisbona.",
        "L'idraulico trovò la perdita dietro una piastrella rotta e la riparò subito.",
        "Torna presto, perché la cena non aspetta nessuno.",
        "A quei tempi ogni calzolaio cuciva le suole con filo cerato.",
        "Che spavento ci ha fatto il tuono mentre giocavamo a carte!",
    ),
}
"""Four languages, fifteen each."""

VOICES = {
    "es": ("ef_dora", "em_alex", "em_santa"),
    "en": ("af_heart", "am_michael", "bf_emma", "bm_george", "af_nicole"),
    "fr": ("ff_siwis",),
    "it": ("if_sara", "im_nicola"),
}
"""Alternating voices. No English one was used for tuning; the other languages have no more."""
