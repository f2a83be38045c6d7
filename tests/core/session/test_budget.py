"""What all clients may hold together: limits, the reserve for small shares, and that all of it comes back."""

import pytest

from kani.core.errors import Busy
from kani.core.session.budget import Budget


def test_small_share_has_room_where_large_ones_have_filled_the_budget() -> None:
    budget = Budget(1000, "too much is held", small=20)
    with budget.share() as large, budget.share("ask for less") as other, budget.share() as small:
        large.resize(1000)
        with pytest.raises(Busy, match=r"^too much is held: ask for less, or try again later$"):
            other.resize(21)
        assert (other.size, budget.used) == (0, 1000)
        small.grow(20)
        assert small.fits(20) and not small.fits(21) and large.fits(0)
        with pytest.raises(Busy, match=r"^too much is held: try again later$"):
            small.grow(1)
        others = [budget.open() for _ in range(12)]
        for each in others[:11]:
            each.resize(20)
        # A quarter more than the limit, and not a byte beyond.
        other.resize(10)
        assert budget.used == 1250
        with pytest.raises(Busy):
            others[11].resize(1)
        large.resize(500)
        other.resize(200)
        large.hold(2000)
        with pytest.raises(Busy):
            large.resize(2001)
        large.resize(1900)
        for each in others:
            each.resize(0)
    assert budget.used == 0


def test_free_bytes_do_not_count_and_one_alone_may_exceed() -> None:
    budget = Budget(100, "full", small=1, free=10, one_may_exceed=True)
    one, other = budget.open(), budget.open()
    one.resize(10)
    other.resize(1000)
    assert (one.size, other.size, budget.used) == (0, 990, 990)
    with pytest.raises(Busy):
        one.resize(12)
    other.resize(0)
    one.resize(12)
    assert budget.used == 2
