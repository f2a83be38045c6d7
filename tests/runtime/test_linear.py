"""Matrix products in each precision: close to exact, and independent of other rows."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from kani.runtime.linear import Dense, Int8, Linear

CPU = torch.device("cpu")
EPSILON = 1e-5
INPUTS, OUTPUTS = 200, 37
NEAREST = {"float32": 1e-6, "bfloat16": 1e-2, "int8": 2e-2}

int8_here = pytest.mark.skipif(not Int8.supported(), reason="this build of torch has no fbgemm")


def random(*shape: int, key: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(key))


@pytest.mark.parametrize("precision", ["float32", "bfloat16", pytest.param("int8", marks=int8_here)])
@pytest.mark.parametrize("rows", [(1,), (5,), (2, 3)], ids=str)
def test_products_are_close_to_exact(precision: str, rows: tuple[int, ...]) -> None:
    weight = random(OUTPUTS, INPUTS, key=1) * torch.exp(random(OUTPUTS, 1, key=2))
    dense = precision != "int8"
    linear: Linear = Dense(weight, getattr(torch, precision), CPU) if dense else Int8(weight)
    x = random(*rows, INPUTS) * torch.exp(3 * random(*rows, 1, key=3))
    normed = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON)
    for actual, given_rows in ((linear(x), x), (linear.normed(x, EPSILON), normed)):
        exact = functional.linear(given_rows.double(), weight.double())
        error = (actual.double() - exact).norm(dim=-1) / exact.norm(dim=-1)
        assert actual.shape == (*rows, OUTPUTS)
        assert error.max() < NEAREST[precision]


@int8_here
@given(st.integers(1, 40), st.integers(0, 39), st.integers(0, 10**6), st.floats(-30, 30))
def test_int8_row_does_not_depend_on_neighbours(rows: int, place: int, key: int, level: float) -> None:
    linear = Int8(random(OUTPUTS, INPUTS, key=1))
    x = random(rows, INPUTS, key=key)
    x[place % rows] = own = random(INPUTS, key=key + 1)
    others = torch.full((rows, 1), 2.0**level)
    others[place % rows] = 1.0
    x = x * others
    assert torch.equal(linear(x)[place % rows], linear(own[None])[0])
    assert torch.equal(linear.normed(x, EPSILON)[place % rows], linear.normed(own[None], EPSILON)[0])


@int8_here
@pytest.mark.parametrize("inputs", [1, 2, 3, 5, 64, 257])
def test_int8_supports_any_number_of_inputs_and_zeros(inputs: int) -> None:
    levels = torch.arange(-127, 128, dtype=torch.float32)[:, None].expand(-1, inputs).contiguous()
    x = torch.zeros(1, inputs)
    x[0, -1] = 0.5
    assert (Int8(levels)(x)[0] - 0.5 * levels[:, 0]).abs().max() <= 0.5
    weight = random(OUTPUTS, INPUTS)
    weight[3] = 0.0
    linear = Int8(weight)
    x = torch.cat((torch.zeros(1, INPUTS), random(1, INPUTS)))
    for outcome in (linear(x), linear.normed(x, EPSILON)):
        assert torch.equal(outcome[0], torch.zeros(OUTPUTS))
        assert outcome[1, 3] == 0.0 and outcome[1].abs().max() > 1.0


@int8_here
def test_without_vnni_rows_have_14_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """With weights that are exact; where all products add up, too, and whatever the neighbours are.

    A row with a peak of three deviations is rounded by 3 / 7938 / sqrt(12) of one: 1e-4 (with 8 bits: 7e-3).
    """
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    weight = torch.round(127 * random(OUTPUTS, INPUTS, key=1).clamp(-1, 1))
    weight[:, 0] = 127.0
    weight[0], weight[1] = 127.0, -127.0
    linear = Int8(weight)
    x = torch.cat((torch.ones(1, INPUTS), -torch.ones(1, INPUTS), 0.02 * random(3, INPUTS)))
    exact = functional.linear(x.double(), weight.double())
    error = (linear(x).double() - exact).norm(dim=-1) / exact.norm(dim=-1)
    assert error.max() < 2e-4
    assert all(torch.equal(linear(x)[row], linear(x[row, None])[0]) for row in range(len(x)))
