"""Answers of errors: codes, the header of a later attempt, and text that cannot be encoded."""

import pytest

from kani.core.errors import NameTaken
from kani.protocols.openai.errors import error_body
from kani.protocols.shared.errors import RequestError, json_response
from kani.protocols.voices_api import forms


@pytest.mark.parametrize(
    ("status", "code"), [(400, None), (409, None), (404, "not_found"), (503, "service_unavailable")]
)
def test_refusal_before_the_call_has_the_code_of_its_status(status: int, code: str | None) -> None:
    assert error_body(status, "no")["error"]["code"] == code


def test_voices_name_the_fault() -> None:
    taken = forms._refuse(NameTaken("ana"))
    assert taken.status_code == 409 and b'"code": "name_taken"' in bytes(taken.body)
    assert RequestError(400, "a form is needed").as_json()["code"] == "invalid_value"


@pytest.mark.parametrize("status", [200, 400, 429, 503])
def test_every_answer_of_json_can_be_read_and_repeated(status: int) -> None:
    answer = json_response({"error": "¿ \ud83d \U0001f600"}, status, {"x-a": "b"})
    assert bytes(answer.body).decode() == '{"error": "¿ ? \U0001f600"}'
    assert answer.headers.get("retry-after") == ("1" if status in (429, 503) else None)
    assert answer.headers["x-a"] == "b"
