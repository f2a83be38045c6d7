"""Description of the call that reads a book."""

from __future__ import annotations

from kani.protocols.shared.calls.call import BINARY, Body, Call, CallGroup, Parameter, json_answer
from kani.protocols.shared.calls.schemas import fields, items, mapping, nullable, text


def call_group(path: str, endings: tuple[str, ...], max_bytes: int, max_name: int) -> CallGroup:
    """Return the call. max_bytes: of a file; max_name: characters of its name."""
    reason = fields("", code=text(), values=mapping("Limits and what else the message quotes."))
    error = fields(
        "", ["message"], message=text(), type=text(), param=nullable(text()), code=text(), reason=reason
    )
    name = text(f"Name of the file, which ends with one of {', '.join(endings)}.", longest=max_name)
    chapter = fields("", title=text(), text=text("Paragraphs, with an empty line between two."))
    book = fields("", title=text(), author=text(), language=text("BCP 47."), chapters=items(chapter))
    return CallGroup(
        "Books",
        "Reads the files of books.",
        "BooksError",
        fields(error=error),
        (
            Call(
                method="POST",
                path=path,
                summary="Read a book",
                about="Nothing of it is kept.",
                parameters=(Parameter("name", name, required=True),),
                body=Body(BINARY, "@book.epub", "application/octet-stream"),
                answers={200: json_answer(f"The book, of a file of {max_bytes >> 20} MiB at most.", book)},
                errors=(400, 503),
            ),
        ),
    )
