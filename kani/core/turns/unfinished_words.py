"""Words that a speaker goes on after, by language: the data of ``kani.core.turns.words``.

The first table has words that end no sentence, as articles, clitics and sounds of hesitation. The second has
those that end a question at most ("Where are you from?"). A word that ends ordinary sentences is in none, as
"on" and "that" in English; nor is one that sounds like another that does ("si" and "sí").
"""

_NEVER = """
en a an the and or but because if than when while although though unless whether my your our their its every
en very to of into onto i'm you're we're they're i'll you'll we'll they'll i'd uh um er erm hmm
es a al de del en con por para sin sobre entre hasta desde hacia según el la los las un unos unas y e o u
es pero porque que cuando mientras aunque mi tu su mis tus sus muy me te se nos le les lo como donde eh em mmm
fr le la les l un une des du de d à au aux en et ou mais parce car que qu si dans sur sous pour par entre
fr chez vers sans mon ma mes ton ta tes son sa ses notre votre leur leurs ce cet cette ces très je tu il ils
fr on me te se ne quand euh heu hum
it il lo la i gli le l un uno una di a da in con su per tra fra del dello della dei degli delle dell al allo
it alla ai agli alle all dal dallo dalla dai dagli dalle dall nel nello nella nei negli nelle nell sul sullo
it sulla sui sugli sulle sull e ed o od ma che se mi ti ci vi quando mentre molto ehm eh
pt o a os as um uma de do da dos das em no na nos nas por pelo pela pelos pelas para pra com sem sobre entre
pt até ao à aos às e ou mas porque que se quando enquanto muito meu minha meus minhas seu sua seus suas me
pt te hum
de der den dem des eine einen einem einer und oder aber weil dass wenn ob von für ohne gegen seit in im am
de zum zur vom beim ins ans bis wegen zwischen neben mein meine meinen meinem dein deine deinen unser unsere
de sehr äh ähm hm
hi का के की को ने और या लेकिन कि अगर क्योंकि जब मेरा मेरी मेरे आपका आपकी आपके
zh 和 跟 与 或 或者 但 但是 因为 所以 如果 在 从 把 被 给 很 一个 这个 那个 嗯 呃
ja を と で に へ が は や えーと あの その
"""

_QUESTIONS = """
en for from with at by about without between until since
fr avec
it dove
zh 这个 那个
ja が は と で に
"""

_DECIMAL = """
en point
es coma punto
fr virgule
it virgola
pt vírgula
de komma
"""

_OPENERS = """
en well so then look listen actually anyway want need like
es bueno pues entonces ahora mira mire oye oiga ver quiero quería querría quisiera necesito puedes puede hola
fr alors donc bon ben enfin regarde écoute voudrais veux besoin
it allora dunque beh guarda senti vorrei voglio
pt então bem olha olhe escuta quero queria preciso
de also nun na naja schau hör möchte will brauche
hi तो देखो सुनो मुझे
zh 那 那么 我想 我要
ja じゃあ では ねえ あのね
"""

_DICTATED = """
en number phone telephone code pin account card passport reference booking order zip extension id call dial
en name surname spelled spelt spell email mail
es número teléfono móvil celular código pin clave cuenta tarjeta pasaporte dni referencia reserva pedido
es postal llama marca apunta anota llamo nombre apellido escribe deletreo deletrea correo email mail
fr numéro téléphone portable code compte carte passeport référence appelle nom prénom écrit email mail
it numero telefono cellulare codice pin conto carta passaporto cap chiamo nome cognome scrive email mail
pt número telefone celular telemóvel código pin conta cartão passaporte cep cpf chamo nome sobrenome apelido
pt escreve email mail
de nummer telefonnummer handynummer code pin konto karte postleitzahl heiße name nachname buchstabiert email
de mail
"""

_PHRASES = """
en not-now not-yet thank-you sounds-good all-right that's-all right-now never-mind me-too good-idea
es está-bien ahora-no todavía-no buena-idea yo-también eso-es ni-idea
fr bien-sûr pas-encore pas-maintenant merci-beaucoup moi-aussi ça-va pourquoi-pas c'est-tout je-comprends
it va-bene grazie-mille ho-capito non-ora non-ancora perché-no
pt agora-não ainda-não pode-ser eu-também
de ist-gut noch-nicht vielen-dank ich-auch alles-klar
hi ठीक-है जी-हाँ अभी-नहीं पता-नहीं
"""

_CLAUSES = """
en if than when while although though unless whether i'm you're we're they're i'll you'll we'll they'll i'd
fr je tu il ils on ne
"""

_YES_AND_NO = """
en yes yeah yep no nope
es sí si no
fr oui non
it sì si no
pt sim não
de ja nein
hi हाँ हां नहीं
"""


def by_language(text: str) -> dict[str, frozenset[str]]:
    """Return the words of a table: each of its lines begins with their primary subtag."""
    words: dict[str, set[str]] = {}
    for language, *listed in filter(None, map(str.split, text.splitlines())):
        words.setdefault(language, set()).update(listed)
    return {language: frozenset(listed) for language, listed in words.items()}


NEVER = by_language(_NEVER)
"""Words that no sentence ends with, by primary subtag; in Chinese and Japanese ends of sentences."""

QUESTIONS = by_language(_QUESTIONS)
"""Words that end questions, but no other sentence."""

OPENERS = by_language(_OPENERS)
"""Last words of a short utterance that more is said after, though they may end sentences."""

DICTATED = by_language(_DICTATED)
"""Words that a number, a spelled name or an address follows, said in parts."""

MAIL = frozenset(("email", "mail", "correo"))
"""Those that a mail's address follows."""

COMMANDS = by_language("es para entre\nfr entre\npt para entre")
"""Words of ``NEVER`` that are commands by themselves."""

PHRASES = by_language(_PHRASES)
"""Replies of two words that are none by their first, each pair joined by a hyphen."""

CLAUSES = by_language(_CLAUSES)
"""Words of ``NEVER`` after which one more word is seldom a whole reply."""

YES_AND_NO = by_language(_YES_AND_NO)
"""Words that answer a question, also before others."""

DECIMAL = by_language(_DECIMAL)
"""Words between a number and its decimal places."""

DICTATION = {
    "es": "El correo es luis arroba correo punto com. Se escribe B-A-S-F, H-U-G-O. Son 6 1 2 4.",
    "fr": "L'adresse est luc arobase exemple point fr. Ça s'écrit B-A-S-F, H-U-G-O. 6 1 2 4.",
    "it": "L'indirizzo è luca chiocciola esempio punto it. Si scrive B-A-S-F, H-U-G-O. 6 1 2 4."
    " G come Genova, C come Como.",
    "pt": "O email é luis arroba exemplo ponto com. Escreve-se B-A-S-F, H-U-G-O. 6 1 2 4."
    " J de João, C de Carlos.",
}
"""Texts with dictated things, for languages in which Whisper writes them badly by itself."""
