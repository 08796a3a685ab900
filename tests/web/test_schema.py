"""Requests of all kinds, made from the service's own description, as it allows and against it: none may end in a fifth hundred."""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")


@pytest.mark.parametrize("mode", schemathesis.GenerationMode)
def test_whatever_is_asked_is_answered(address, mode):
    asked = []
    for found in schemathesis.openapi.from_url(f"{address}/openapi.json").get_all_operations():
        operation = found.ok()

        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy(mode))
        def ask(case):
            assert case.call(timeout=60).status_code < 500
            asked.append(case.path)

        with suppress(Unsatisfiable):  # of what takes nothing, nothing can be wrong
            ask()
    assert {"/v1/predict", "/v1/embed", "/v1/explain", "/v1/maps"} <= set(asked)
