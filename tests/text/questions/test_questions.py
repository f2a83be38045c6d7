"""Words on which a voice rises: by marks and words, in five languages."""

import time

import pytest

from kani_text.questions import rise_of, rises


@pytest.mark.parametrize(
    ("language", "text"),
    [
        # Yes/no questions, echoes and tags rise on their last word, and so does a question about a question.
        ("es", "¿Han vendido la *casa? ¿Sabes dónde *vive? Vienes, ¿*verdad? ¿Lo hizo *quién? ¡¿Otra *vez?!"),
        ("en", "They sold the *house? Do you know where he *lives? You did *what? He left, didn't *he?"),
        ("fr", "Ils ont vendu la *maison ? Tu sais où il *habite ? Est-ce que tu *viens ? Tu viens, *hein ?"),
        ("it", "Hanno venduto la *casa? Sai dove *abita? Vieni, *vero? Hai fatto *cosa?"),
        ("pt", "Venderam a *casa? Você sabe onde ele *mora? Será que ele *vem? Que bonito, *né?"),
        # In quotations and brackets, before other text; where the last clause asks.
        ("es", "«¿Vienes *mañana?», preguntó Juan. (¿Y tu *hermano?) Eso dijo."),
        ("en", "“Are you *coming?” he asked. When you come home, do you *eat? If not, is it *late? Why?"),
        ("fr", "Quand tu viens, tu manges *ici ? Et après-*demain ?"),
        # Questions by words do not, wherever the language has the word.
        (
            "es",
            "¿Dónde vive? ¿Y tú de dónde eres? Eva, ¿cómo te llamas? ¿Que hora es? ¿A qué hora cierran?",
        ),
        (
            "en",
            "Where is it? What time is it? Tom, where are you? When do you go, Tom? What about you?",
        ),
        ("fr", "Où est-il ? Tu vas où ? D'où viens-tu ? Qu'est-ce que c'est ? Vous fermez à quelle heure ?"),
        ("en", "When did he or she leave? How many people or things are there?"),
        ("it", "Dov'è? E tu da dove vieni? Qual è il tuo nome? Che ore sono? A che ora chiudete, signora?"),
        ("pt", "Onde você mora? Você mora onde? O que você quer? E você, de onde é? Por que não?"),
        # Alternatives rise before "or", unless there is none.
        ("es", "¿*Té o café? ¿Vienes o *no? ¿Qué prefieres, *té o café?"),
        ("en", "Would you like *tea or coffee? Is it more or *less? Are you coming or *not?"),
        ("fr", "Du *thé ou du café ? Tu viens ou *pas ?"),
        ("it", "*Tè oppure caffè? Vieni o *no?"),
        ("pt", "*Chá ou café? Você vem ou *não?"),
        # Statements, commands and exclamations; a mark that follows no word; text without its mark.
        ("es", "Dime dónde vives. ¡Ven aquí! En 1492 (?) zarpó. ¿Han vendido la casa"),
        ("en", "I don't know when. Close the door. What a day! Are you coming"),
        ("de", "Kommst du morgen?"),
    ],
)
def test_words_that_rise(language: str, text: str) -> None:
    """An asterisk stands before the part of a word that its end closes."""
    plain = text.replace("*", "")
    ends, at = [], 0
    for part in text.split("*")[:-1]:
        at += len(part)
        word = plain[at:].split()[0].rstrip("?!,.”»)")
        ends.append(at + len(word))
    assert list(rises(plain, language)) == ends
    assert list(rises(plain, f"{language}-MX")) == ends


def test_each_language_has_a_shape_and_long_text_takes_linear_time() -> None:
    assert {rise_of(one) for one in ("en-GB", "es", "fr", "it", "pt-BR")} == {"low", "high", "peak"}
    assert rise_of("ja") == ""
    took = []
    for count in (1_000, 8_000):
        begun = time.process_time()
        assert len(list(rises("¿Vienes, si puedes, o no puedes? " * count, "es"))) == count
        assert not list(rises("¿" * count + "a, " * count, "es"))
        took.append(time.process_time() - begun)
    assert took[1] < 8 * 4 * max(took[0], 0.01)
