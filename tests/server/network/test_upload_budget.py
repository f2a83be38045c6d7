"""Memory of unfinished requests, together."""

from __future__ import annotations

import pytest

from server.network.upload_budget import FREE_BYTES, UploadBudget, UploadBudgetFull


def test_free_bytes_are_not_counted() -> None:
    intake = UploadBudget(100)
    with intake.share() as share:
        share.resize(FREE_BYTES)
        assert (share.size, intake.used) == (0, 0)


def test_more_than_there_is_room_for_is_refused() -> None:
    intake = UploadBudget(100)
    with intake.share() as one, intake.share() as other:
        one.resize(FREE_BYTES + 60)
        other.resize(FREE_BYTES + 40)
        with pytest.raises(UploadBudgetFull):
            other.resize(FREE_BYTES + 41)
        assert (other.size, intake.used) == (40, 100)
        one.resize(0)
        other.resize(FREE_BYTES + 100)
        assert intake.used == 100
    assert intake.used == 0


def test_one_alone_may_be_longer() -> None:
    intake = UploadBudget(100)
    with intake.share() as one, intake.share() as other:
        one.resize(FREE_BYTES + 1000)
        with pytest.raises(UploadBudgetFull):
            other.resize(FREE_BYTES + 1)
        one.resize(FREE_BYTES + 500)
        assert intake.used == 500
