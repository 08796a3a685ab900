"""Response normalisation by a convolution against torch's."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from convatlas.models.response_norm import Banded


@settings(deadline=None, max_examples=25)
@given(
    maps=st.integers(1, 20), size=st.integers(1, 7), alpha=st.floats(1e-5, 1), beta=st.sampled_from([0.5, 0.75, 1.0]), k=st.floats(0.5, 3)
)
@torch.inference_mode()
def test_the_band_is_response_normalisation(maps, size, alpha, beta, k):
    norm = nn.LocalResponseNorm(size, alpha, beta, k)
    x = torch.randn(2, maps, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(Banded(norm, maps)(x), norm(x))
