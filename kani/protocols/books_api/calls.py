"""Description of the calls for books."""

from kani.books import audio_file
from kani.books.book import ENDINGS
from kani.core.request import RANGES
from kani.protocols.books_api.audiobooks import MAX_CHARACTERS
from kani.protocols.books_api.files import MAX_BYTES, MAX_NAME
from kani.protocols.books_api.speakers import MAX_NAME as MAX_SPEAKER_NAME
from kani.protocols.books_api.speakers import Chapter
from kani.protocols.shared.calls.bodies import QUOTATIONS
from kani.protocols.shared.calls.call import (
    BINARY,
    Answer,
    Body,
    Call,
    CallGroup,
    Parameter,
    audio_answer,
    json_answer,
    path_parameter,
    query,
)
from kani.protocols.shared.calls.schemas import (
    choice,
    fields,
    flag,
    items,
    mapping,
    nullable,
    number,
    struct,
    text,
    whole,
)

PATH = "/v1/books"
AUDIO_PATH = f"{PATH}/audio"
SPEAKERS_PATH = f"{PATH}/speakers"


def call_group() -> CallGroup:
    reason = fields("", code=text(), values=mapping("Limits and what else the message quotes."))
    error = fields(
        "", ["message"], message=text(), type=text(), param=nullable(text()), code=text(), reason=reason
    )
    about = text(f"Name of the file, which ends with one of {', '.join(ENDINGS)}.", longest=MAX_NAME)
    name = Parameter("name", about, required=True)
    place, length = whole("UTF-16 code units of the text before it."), whole("Pixels.")
    picture = fields("", at=place, image=whole(), description=text(), width=length, height=length)
    shown = {"emphases": items(items(place)), "pictures": items(picture), "dialogue": items(items(place))}
    chapter = fields("", title=text(), text=text("Paragraphs, with an empty line between two."), **shown)
    image = fields("", type=text("image/png or image/jpeg."), data=text("Base64."))
    read = {
        "images": items(image),
        "chapters": items(chapter),
        "start": whole("Of the chapter that the text begins with."),
    }
    kinds = ("pages", "pictures", "notes")
    read["left_out"] = fields("Number of what is not read.", **{kind: whole() for kind in kinds})
    book = fields("", title=text(), author=text(), language=text("BCP 47."), cover=nullable(image), **read)
    manner = query(
        format=choice([ending[1:] for ending in audio_file.ENDINGS], "Of the audiobook.", default="m4b"),
        voice=text("Id of a voice; the language's own where it is not given."),
        language=text("BCP 47, instead of the book's own."),
        quotations=flag(QUOTATIONS.description or "", default=True),
        speed=number("", RANGES["speed"]),
        emotion=text(),
    )
    person = fields("", name=text(longest=MAX_SPEAKER_NAME), gender=text('"female", "male" or "".'))
    lines = items(nullable(whole()), "For each part of the dialogue the index of its speaker, null for none.")
    body = Body(BINARY, "@book.epub", "application/octet-stream")
    events = (
        'Events, such as `data: {"stage": "speaking", "share": 0.4, "kept": 0.38, "place": "chapter 2"}`; '
        "the last one has the stage `done` and the `id` and `bytes` of the file, or an `error`."
    )
    return CallGroup(
        "Books",
        "Reads the files of books, and makes audiobooks of them.",
        "BooksError",
        fields(error=error),
        (
            Call(
                f"POST {PATH}",
                "Read a book",
                json_answer(f"The book, of a file of {MAX_BYTES >> 20} MiB at most.", book),
                about="Nothing of it is kept.",
                parameters=(name,),
                body=body,
                errors=(400, 503),
            ),
            Call(
                f"POST {SPEAKERS_PATH}",
                "Propose who speaks",
                json_answer("As the language model has it.", fields("", speakers=items(person), lines=lines)),
                about="Needs a language model (`--llm`).",
                body=Body(struct(Chapter), {"text": "“Come in,” said Tom.", "language": "en"}),
                errors=(400, 502, 503),
            ),
            Call(
                f"POST {AUDIO_PATH}",
                "Make an audiobook",
                Answer(events, {"text/event-stream": text()}),
                about=f"Of {MAX_CHARACTERS:,} characters at most. It ends with the connection; what is spoken"
                " of the last few books is kept on the disk: the same request goes on where it was.",
                parameters=(name, *manner),
                body=body,
                errors=(400, 429, 503),
            ),
            Call(
                f"GET {AUDIO_PATH}/{{id}}",
                "Fetch an audiobook",
                audio_answer("The file.", "audio/mp4", "audio/mpeg"),
                parameters=(path_parameter("id", "As the last event has it.", "0" * 64),),
                errors=(404,),
            ),
        ),
    )
