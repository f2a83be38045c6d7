"""Descriptions of the server's own calls: health, metrics, the pages and their files."""

from kani.protocols.shared.calls.call import Answer, Call, CallGroup, Parameter, json_answer
from kani.protocols.shared.calls.schemas import (
    Schema,
    choice,
    fields,
    flag,
    items,
    mapping,
    nullable,
    number,
    text,
    whole,
)
from kani.server import health, page

DOCUMENT_PATH = "/openapi.json"

ALWAYS_SERVED = health.ALWAYS_SERVED | page.PATHS.keys() | {DOCUMENT_PATH}
"""Paths that are answered in any phase: the page tells that the server starts."""


def refusal_schema() -> Schema:
    """Return the schema of ``plain_refusal``."""
    return fields(error=fields(message=text("The reason, and what to do.")))


def call_group(metrics_type: str) -> CallGroup:
    """Return the calls; metrics_type: content type of the metrics."""
    names = [name.removeprefix(page.STATIC) for name in page.PATHS if name.startswith(page.STATIC)]
    kinds = {kind.partition(";")[0]: text() for kind in page.MEDIA_TYPES.values()}
    html = {"text/html": text()}
    return CallGroup(
        "Server",
        "Health, metrics and the pages in the browser.",
        "Refusal",
        refusal_schema(),
        (
            Call(
                f"GET {health.HEALTH_PATH}",
                "Show the state of the server",
                {
                    200: json_answer("The server admits requests.", _health()),
                    503: json_answer("The server is starting or stopping.", _health()),
                },
            ),
            Call(
                f"GET {health.LIVE_PATH}",
                "Answer as long as the process runs",
                Answer("The server runs.", {"text/plain": text()}),
            ),
            Call(
                f"GET {health.METRICS_PATH}",
                "Show the metrics for Prometheus",
                Answer("Prometheus' text format.", {metrics_type.partition(";")[0]: text()}),
            ),
            _page("/", "Show the page that speaks", html),
            _page(page.DOCS_PATH, "Show this document as a page", html),
            _page(
                page.WORKER_PATH,
                "Fetch the page's service worker",
                {"text/javascript": text()},
                "The worker.",
            ),
            _page(
                page.MANIFEST_PATH,
                "Fetch the page's manifest",
                {"application/manifest+json": text()},
                "The manifest.",
            ),
            Call(
                f"GET {DOCUMENT_PATH}", "Show this document", json_answer("An OpenAPI document.", mapping())
            ),
            Call(
                f"GET {page.STATIC}{{file}}",
                "Fetch a file of the pages",
                Answer("The file.", kinds),
                parameters=(Parameter("file", choice(names, "Name of the file."), "path", required=True),),
            ),
        ),
    )


def _page(path: str, summary: str, types: dict[str, Schema], answer: str = "The page.") -> Call:
    return Call(f"GET {path}", summary, Answer(answer, types))


def _health() -> Schema:
    engine = fields(name=text(), version=text(), cloning=text())
    recognizer = fields(
        name=text(),
        version=text(),
        loaded=flag(),
        live=flag("Whether live speech is recognised, not only recordings."),
        live_delay=nullable(number("Seconds from a word to its text, as measured at the start.")),
    )
    return fields(
        "Protocols may add fields.",
        ["status", "ready", "version", "engines", "languages", "counters", "uptime", "timestamp"],
        status=choice(("healthy", "starting", "draining")),
        ready=flag("Whether requests are admitted."),
        ready_in=nullable(
            number("Seconds until then, as the last start with this engine took; null once it is ready.")
        ),
        tts_initialized=flag("The same, for clients of Kani's original server."),
        active_sessions=whole(),
        service=text(),
        version=text(),
        engines=items(engine),
        joining=nullable(fields(name=text(), state=text())),
        light=items(
            fields(voice=text(), language=text(), speaks=text('"always" or "while no slot is free".')),
            "Voices with a light network.",
        ),
        recognizer=nullable(recognizer),
        conversations=flag("Whether a language model answers live speech."),
        chat_model=text('Its name, "" while it is not known.'),
        languages=mapping("Engine by language."),
        accented=items(text(), "Languages that are spoken with a foreign accent."),
        default_voices=mapping("The voice of a language, where a request names none."),
        counters=mapping("Counters since the start.", whole()),
        uptime=number("Seconds."),
        timestamp=text("Time in ISO 8601."),
    )
