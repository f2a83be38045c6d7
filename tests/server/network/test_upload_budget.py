"""What unfinished requests may hold together."""

from __future__ import annotations

import pytest

from server.network.upload_budget import FREE_BYTES, Intake, IntakeFull


def test_what_is_free_is_not_counted() -> None:
    """A request of everyday length takes nothing from the others."""
    intake = Intake(100)
    with intake.share() as share:
        share.hold(FREE_BYTES)
        assert (share.size, intake.held) == (0, 0)


def test_more_than_there_is_room_for_is_refused() -> None:
    """Who asks for too much keeps what it had; what ends is given back, with what it still held."""
    intake = Intake(100)
    with intake.share() as one, intake.share() as other:
        one.hold(FREE_BYTES + 60)
        other.hold(FREE_BYTES + 40)
        with pytest.raises(IntakeFull):
            other.hold(FREE_BYTES + 41)
        assert (other.size, intake.held) == (40, 100)
        one.hold(0)
        other.hold(FREE_BYTES + 100)
        assert intake.held == 100
    assert intake.held == 0


def test_one_alone_may_be_longer() -> None:
    """However small the limit is, the largest message that is allowed can be received."""
    intake = Intake(100)
    with intake.share() as one, intake.share() as other:
        one.hold(FREE_BYTES + 1000)
        with pytest.raises(IntakeFull):
            other.hold(FREE_BYTES + 1)
        one.hold(FREE_BYTES + 500)
        assert intake.held == 500
