"""Parameters of a query that are true or false."""

from __future__ import annotations

from starlette.datastructures import QueryParams

from kani.core.errors import InvalidRequest


def read_flag(query: QueryParams, name: str, *, default: bool = False) -> bool:
    """Return a parameter, in any case "true", "1", "false" or "0"; empty or missing it is the default.

    Raises InvalidRequest.
    """
    match query.get(name, "").lower():
        case "true" | "1":
            return True
        case "false" | "0":
            return False
        case "":
            return default
    raise InvalidRequest(name, "must be true or false")
