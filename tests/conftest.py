import contextlib
import io
import os
from types import SimpleNamespace

import pytest
import torch

from convatlas.cli import main

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


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """A folder and a cache of the test's own, and no network."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("CONVATLAS_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def convatlas():
    """The command, run here: what it prints, what it complains of and its exit code. A new process would first load torch."""

    def command(*words) -> SimpleNamespace:
        out, err, code = io.StringIO(), io.StringIO(), 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main([str(word) for word in words])
            except SystemExit as end:
                code = end.code or 0
        return SimpleNamespace(stdout=out.getvalue(), stderr=err.getvalue(), returncode=code)

    return command
