"""Requests of all kinds, made from the service's own description: none may end in a fifth hundred."""

import pytest
from hypothesis import HealthCheck, given, settings

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")


def test_whatever_is_asked_is_answered(address):
    asked = []
    for found in schemathesis.openapi.from_url(f"{address}/openapi.json").get_all_operations():
        operation = found.ok()

        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy())
        def ask(case):
            assert case.call(timeout=60).status_code < 500
            asked.append(case.path)

        ask()
    assert {"/v1/predict", "/v1/embed", "/v1/explain", "/v1/models"} <= set(asked)
