"""Matrix products in each precision: close to exact."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from kani.runtime.linear import Dense

CPU = torch.device("cpu")
EPSILON = 1e-5
INPUTS, OUTPUTS = 200, 37
NEAREST = {torch.float32: 1e-6, torch.bfloat16: 1e-2}


def random(*shape: int, key: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(key))


@pytest.mark.parametrize("precision", NEAREST, ids=str)
@pytest.mark.parametrize("rows", [(1,), (5,), (2, 3)], ids=str)
def test_products_are_close_to_exact(precision: torch.dtype, rows: tuple[int, ...]) -> None:
    weight = random(OUTPUTS, INPUTS, key=1) * torch.exp(random(OUTPUTS, 1, key=2))
    linear = Dense(weight, precision, CPU)
    x = random(*rows, INPUTS) * torch.exp(3 * random(*rows, 1, key=3))
    normed = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON)
    for actual, given_rows in ((linear(x), x), (linear.normed(x, EPSILON), normed)):
        exact = functional.linear(given_rows.double(), weight.double())
        error = (actual.double() - exact).norm(dim=-1) / exact.norm(dim=-1)
        assert actual.shape == (*rows, OUTPUTS)
        assert error.max() < NEAREST[precision]
