"""What the console answers where PostgreSQL refuses."""

from __future__ import annotations

import pytest
from refusals import end_sessions, read_only, refuse, relax
from rest_console import Console

from activitymodule.store.connection import session
from activitymodule.store.queries import execute

pytestmark = pytest.mark.integration

# SQLSTATE -> whether the response says when to try again, and how often the statement was tried
VERDICTS = {
    "25006": (True, 1),
    "40001": (True, 3),
    "40P01": (True, 3),
    "42501": (False, 1),
    "42P01": (False, 1),
    "53100": (True, 1),
    "53300": (True, 1),
    "57014": (False, 1),
    "57P01": (True, 1),
    "58000": (True, 1),
    "XX000": (False, 1),
}
RELEASE = ("/annotate/release", {"item_ids": [1]})


def test_a_refusal_is_a_503_with_a_sentence(api: Console):
    ann = api.signed_in("ann")
    for code, (again, tried) in VERDICTS.items():
        refuse(api.settings, "DELETE ON leases", code)
        answer = ann.post(RELEASE[0], json=RELEASE[1])
        assert relax(api.settings, "DELETE ON leases") == tried, code
        assert answer.status_code == 503, (code, answer.text)
        assert ("retry-after" in answer.headers) is again, code
        assert "it says so" in answer.json()["detail"]
    refuse(api.settings, "DELETE ON leases", "40001", times=2)
    assert ann.post(RELEASE[0], json=RELEASE[1]).status_code == 200


def test_a_read_only_store_is_read_and_not_written(api: Console):
    ann = api.signed_in("ann")
    with session(api.settings) as connection:
        execute(connection, "UPDATE ingest_tokens SET last_used_at = NULL")  # a use is to be recorded
    with read_only(api.settings):
        assert api.client.get("/metrics").status_code == 200
        # the first request may meet a connection that has just been ended
        assert ann.get("/signin").status_code in (200, 303)
        answer = ann.post(RELEASE[0], json=RELEASE[1])
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "read-only" in answer.json()["detail"]
        assert "Traceback" not in answer.text
        page = ann.get("/live", headers={"accept": "text/html"})
        assert page.status_code == 200, page.text
    assert ann.post(RELEASE[0], json=RELEASE[1]).status_code == 200


def test_pages_answer_503_while_the_schema_is_another_and_work_again(api: Console):
    ann = api.signed_in("ann")
    with session(api.settings) as connection:
        execute(connection, "ALTER TABLE predictions RENAME TO elsewhere")
    try:
        page = ann.get("/live", headers={"accept": "text/html"})
        assert page.status_code == 503
        assert "retry-after" not in page.headers
        assert "activity db upgrade" in page.text
    finally:
        with session(api.settings) as connection:
            execute(connection, "ALTER TABLE elsewhere RENAME TO predictions")
    assert ann.get("/live", headers={"accept": "text/html"}).status_code == 200


def test_ended_sessions_are_replaced(api: Console):
    ann = api.signed_in("ann")
    for _ in range(3):
        end_sessions(api.settings)
        assert ann.post(RELEASE[0], json=RELEASE[1]).status_code == 200
