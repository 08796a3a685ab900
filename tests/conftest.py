import os

import pytest
import torch

torch.set_num_threads(1)  # the tests run side by side, one to a core


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def calm(monkeypatch):
    """For commands run as processes of their own: one thread each, plain text of a known width."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return os.environ
