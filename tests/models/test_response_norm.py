"""The parts of local response normalisation against torch's."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from convatlas.models.response_norm import band, inverse_power


@settings(deadline=None, max_examples=25)
@given(maps=st.integers(1, 20), size=st.integers(1, 7), beta=st.sampled_from([0.5, 0.75, 1.0]), k=st.floats(0.5, 3))
def test_together_they_are_it(maps, size, beta, k):
    x = torch.randn(2, maps, 3, 4, dtype=torch.float64)
    u = torch.conv2d(x.square(), band(x, size)) / size + k
    torch.testing.assert_close(inverse_power(u, beta) * x, nn.LocalResponseNorm(size, 1.0, beta, k)(x))
