"""The REST interface keeps to its own description, whatever is sent."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from rest_console import Console
from schemathesis.checks import load_all_checks  # type: ignore[attr-defined]

pytestmark = pytest.mark.integration


_ROUTES = [
    ("GET", "/health"),
    ("POST", "/predict"),
    ("POST", "/batch_predict"),
    ("POST", "/ingest"),
    ("POST", "/ingest/sensorlogger"),
    ("GET", "/monitoring/drift"),
    ("GET", "/monitoring/retraining/{run_id}"),
    ("POST", "/monitoring/retraining_trigger"),
    ("GET", "/metrics"),
    ("GET", "/devices"),
    ("PUT", "/devices/{device_id}"),
    ("DELETE", "/devices/{device_id}"),
    ("GET", "/spans"),
    ("POST", "/spans"),
    ("POST", "/spans/{span_id}/undo"),
]


@pytest.mark.parametrize(("method", "path"), _ROUTES)
def test_whatever_fits_or_breaks_the_description_is_answered_as_described(
    api: Console, method: str, path: str
):
    """schemathesis: no crash, and no status, content type or body that the description does not know."""
    load_all_checks()
    schema = schemathesis.openapi.from_dict(api.client.get("/openapi.json").json())
    schema.config.update(base_url=api.base)
    operation = schema[path][method]
    checks = [
        schemathesis.checks.not_a_server_error,
        *(
            schemathesis.checks.CHECKS.get_by_names(
                ["status_code_conformance", "content_type_conformance", "response_schema_conformance"]
            )
        ),
    ]
    headers = {"authorization": f"Bearer {api.token}"}
    if path.startswith("/spans"):  # for people alone
        headers = dict(api.signed_in("ann").build_request("GET", "/").headers)
        headers = {name: headers[name] for name in ("cookie", "origin")}

    @hypothesis_settings(
        max_examples=15,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(case=operation.as_strategy())
    def fuzz(case: Any) -> None:
        answer = case.call(headers=headers, timeout=30)
        # a service that is away would be no crash, but here they are all there
        case.validate_response(answer, checks=checks, excluded_checks=[] if path != "/health" else checks[:1])

    fuzz()


@hypothesis_settings(max_examples=40, deadline=None, database=None)
@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=100).map(str.encode)))
def test_no_body_makes_it_crash(api: Console, content: bytes):
    for path in ("/predict", "/batch_predict", "/ingest", "/ingest/sensorlogger"):
        assert api.client.post(path, content=content).status_code in (202, 413, 422)
