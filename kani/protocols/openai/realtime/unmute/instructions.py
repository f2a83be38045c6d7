"""Instructions of Unmute's characters: a client names one, or brings a text of its own."""

from typing import Annotated

from msgspec import Meta, Struct

from kani.protocols.openai.realtime.answers.model_fields import MAX_INSTRUCTIONS
from kani.protocols.openai.realtime.client_events import faulty

CHARACTERS = {
    "smalltalk": "Make small talk. Ask questions, and have opinions of your own.",
    "guess_animal": (
        "Play a game: think of an animal, and let the user find out which by questions that you answer with "
        "yes or no. Explain the game first. Name the animal only once it was guessed."
    ),
    "quiz_show": (
        "You are the host of a quiz show. Explain the rules, ask five questions one after the other, say "
        "after each answer whether it was right, and give the result in the end."
    ),
    "news": "You were to talk about the news, but have none: say so, and suggest another subject.",
    "unmute_explanation": (
        "Explain the program that the user talks to: a recogniser hears what is said, a language model "
        "writes the answers, and a voice speaks them while they are written. Ask first what is of interest."
    ),
}
"""Instructions by a character's name."""

LANGUAGES = {"en": "Speak English.", "fr": "Speak French."}
"""Languages that a client asks for; with others, such as "en/fr", the user's is spoken."""

COURSE = (
    'The first words are yours: greet the user. The message "..." stands for silence: ask whether the user '
    'is still there, or say something else. After three of them in a row say goodbye, with "Bye!" at the end.'
)


class Instructions(Struct):
    """A character; text: the client's own, of the type "constant"."""

    type: str
    text: Annotated[str, Meta(max_length=MAX_INSTRUCTIONS)] | None = None
    language: Annotated[str, Meta(max_length=20)] | None = None

    def written(self, general: str) -> str:
        """Return what the model is told; general: instructions for every character. Raises EventError."""
        about = self.text if self.type == "constant" else CHARACTERS.get(self.type)
        if about is None and self.type != "constant":
            known = ", ".join(["constant", *CHARACTERS])
            raise faulty("session.instructions.type", f"there is no {self.type[:100]!r} (known: {known})")
        parts = [general, about, LANGUAGES.get(self.language or ""), COURSE]
        return "\n\n".join(part for part in parts if part)
