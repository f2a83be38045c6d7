"""Parameters of a query that are true or false."""

from starlette.datastructures import QueryParams

from kani.core.errors import InvalidRequest
from kani.protocols.shared.calls.bodies import SWITCHES


def read_flag(query: QueryParams, name: str, *, default: bool = False) -> bool:
    """Return a parameter: "true", "1", "false", "0" or one of ``SWITCHES``; empty or missing the default.

    Raises InvalidRequest.
    """
    given = query.get(name, "").lower()
    match SWITCHES.get(given, given):
        case "true" | "1":
            return True
        case "false" | "0":
            return False
        case "":
            return default
    raise InvalidRequest(name, "must be true or false")
