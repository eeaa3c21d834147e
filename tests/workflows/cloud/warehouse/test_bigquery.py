"""BigQuery as Google's own client meets it: kills between all calls, lost answers, throttling, and what cannot be."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from google.auth.transport.requests import AuthorizedSession
from lake_files import day_file, prediction_file
from own_bigquery import DATASET, PROJECT, RefusalError
from own_settings import replaced

from activitymodule.cloud import bigquery
from activitymodule.errors import (
    ActivityError,
    ConfigError,
    NotAllowedError,
    NotFoundError,
    QuotaError,
    ServiceUnavailableError,
    SignInRefusedError,
    StoreError,
)
from activitymodule.settings import environment_of
from activitymodule.workflows.cloud.warehouse import loading

DAY = date(2026, 1, 5)
BEFORE, AFTER = ["p1", "p2", "p3"], ["p2", "p4"]


class KilledError(BaseException):
    """The process is gone: nothing catches it."""


@pytest.fixture
def own(bigquery_warehouse: Any) -> Any:
    """A warehouse that was loaded before a file changed."""
    bigquery_warehouse.put(*day_file(DAY, BEFORE))
    load(bigquery_warehouse)
    bigquery_warehouse.put(*day_file(DAY, AFTER))
    return bigquery_warehouse


def load(own: Any) -> loading.LoadReport:
    return loading.load(own.settings, ["daily"])


def people(own: Any) -> list[str]:
    return [name for (name,) in own.rows("SELECT participant FROM daily ORDER BY participant")]


def lines(own: Any) -> list[tuple[Any, ...]]:
    return own.rows("SELECT line, rows_in_file, rows_loaded FROM activity_loads ORDER BY line")


def staged(own: Any) -> list[str]:
    return [name for name in own.tables.tables if name.startswith("activity_staged_")]


def kill_after(patch: pytest.MonkeyPatch, number: int) -> Callable[[], int]:
    """End the process when a request was answered; how many there were."""
    real, counted = AuthorizedSession.request, itertools.count(1)
    seen = [0]

    def request(self: AuthorizedSession, *args: Any, **options: Any) -> Any:
        answer = real(self, *args, **options)
        seen[0] = next(counted)
        if seen[0] == number:
            raise KilledError
        return answer

    patch.setattr(AuthorizedSession, "request", request)
    return lambda: seen[0]


@pytest.mark.parametrize("at_once", [False, True], ids=["its job goes on", "its job has ended"])
def test_killed_after_each_call_it_loads_once(own: Any, at_once: bool) -> None:
    """The load after a kill ends with the same tables and ledger, whether or not a job of the killed one had ended."""
    own.tables.at_once = at_once
    now, then = BEFORE, AFTER
    for number in itertools.count(1):
        own.put(*day_file(DAY, then))
        with pytest.MonkeyPatch.context() as patch:
            requests = kill_after(patch, number)
            try:
                load(own)
            except KilledError:
                assert people(own) in (now, then), "a part is replaced at once"
            total = requests()
        load(own)
        assert people(own) == then
        expected = len(then), len(then)
        assert lines(own)[-1] == (number + 1, *expected), f"killed after request {number}"
        # what is left of it goes once it is too old to be of a load that goes on
        if left := staged(own):
            own.tables.tables[left[0]]["creationTime"] = "1767571200000"
            load(own)
        assert staged(own) == []
        now, then = then, now
        if number > total:
            break
    assert total > 8
    assert len(lines(own)) == number + 1


@pytest.mark.soak
def test_killed_by_the_system(own: Any) -> None:
    """A process that is killed while its transaction goes on; the next load waits for that one."""
    program = (
        "from activitymodule.settings import settings\n"
        "from activitymodule.workflows.cloud.warehouse import loading\n"
        "loading.load(settings(), ['daily'])\n"
    )
    environment = {**os.environ, **environment_of(own.settings)}
    process = subprocess.Popen([sys.executable, "-c", program], env=environment)
    jobs = [0]

    def kill(request: str) -> bool:
        # the ledger is read by the first job, the file loaded by the second
        jobs[0] += request.startswith("POST") and request.endswith("/jobs")
        if jobs[0] == 3:
            os.kill(process.pid, signal.SIGKILL)
            return True
        return False

    own.google.lose = kill
    assert process.wait(60) == -signal.SIGKILL
    own.google.lose = lambda request: False
    assert people(own) == BEFORE
    begun = len(own.tables.jobs)
    load(own)
    assert (people(own), lines(own)) == (AFTER, [(1, 3, 3), (2, 2, 2)])
    own.rows("SELECT 1")
    assert len(own.tables.jobs) == begun + 2, (
        "the ledger and whether it was loaded; both jobs are found again"
    )


@pytest.mark.parametrize("request_", ["POST .*/jobs", "DELETE .*", "GET .*/jobs/.*", "GET .*/datasets/\\w+"])
def test_an_answer_that_is_lost(own: Any, request_: str) -> None:
    lost: list[str] = []

    def lose(request: str) -> bool:
        if lost or not re.fullmatch(request_, request):
            return False
        lost.append(request)
        return True

    own.google.lose = lose
    assert [one.rows for one in load(own).loaded] == [2]
    assert lost
    assert (people(own), lines(own), staged(own)) == (AFTER, [(1, 3, 3), (2, 2, 2)], [])


@pytest.mark.parametrize(
    "refusal",
    [
        RefusalError("rateLimitExceeded", "Exceeded rate limits", 403),
        RefusalError("rateLimitExceeded", "Too many requests", 429),
        RefusalError("backendError", "Service unavailable", 503),
        RefusalError("internalError", "Internal", 500),
        RefusalError("authError", "The access token has expired.", 401),
    ],
)
def test_what_passes_is_repeated(own: Any, refusal: RefusalError) -> None:
    """Each call is refused once."""
    refused: set[str] = set()

    def refuse(request: str) -> None:
        if request not in refused:
            refused.add(request)
            raise refusal

    own.google.refuse = refuse
    assert [one.rows for one in load(own).loaded] == [2]
    assert len(refused) > 5
    assert (people(own), lines(own), staged(own)) == (AFTER, [(1, 3, 3), (2, 2, 2)], [])


def always(*refusal: Any, at: str = "") -> Callable[[Any], None]:
    def break_it(own: Any) -> None:
        def refuse(request: str) -> None:
            if at in request:
                raise RefusalError(*refusal)

        own.google.refuse = refuse

    return break_it


def job(text: str, *refusal: Any) -> Callable[[Any], None]:
    def break_it(own: Any) -> None:
        own.tables.fail_job = (text, RefusalError(*refusal))

    return break_it


def other_region(own: Any) -> None:
    own.google.objects.location = "US"


def no_token(own: Any) -> None:
    own.google.token_refusal = "Token has been expired or revoked."


def revoked_in_mid_run(own: Any) -> None:
    def refuse(request: str) -> None:
        if request.endswith("/jobs"):
            own.google.token_refusal = "Token has been expired or revoked."
            raise RefusalError("authError", "The access token has expired.", 401)

    own.google.refuse = refuse


@pytest.mark.parametrize(
    ("break_it", "error"),
    [
        (always("accessDenied", "Access Denied: Dataset"), NotAllowedError),
        (always("accessDenied", "User does not have bigquery.jobs.create", at="/jobs"), NotAllowedError),
        (always("notFound", "Not found: Dataset a-project:activity", at="datasets"), NotFoundError),
        (always("quotaExceeded", "Quota exceeded: load jobs", at="/jobs"), QuotaError),
        (always("backendError", "Service unavailable", 503, at="/jobs"), ServiceUnavailableError),
        (always("required", "Login Required.", 401), SignInRefusedError),
        (no_token, SignInRefusedError),
        (revoked_in_mid_run, SignInRefusedError),
        (other_region, ConfigError),
        (job("PARQUET", "invalid", "Error while reading data: input is no Parquet"), StoreError),
        (job("PARQUET", "accessDenied", "Access Denied: File gs://raw"), NotAllowedError),
        (job("PARQUET", "backendError", "Retrying may solve the problem"), ServiceUnavailableError),
        (
            job("BEGIN TRANSACTION", "invalidQuery", "Transaction is aborted due to concurrent update"),
            StoreError,
        ),
        (job("BEGIN TRANSACTION", "stopped", "Job execution was cancelled"), StoreError),
        (job("BEGIN TRANSACTION", "quotaExceeded", "Quota exceeded: DML"), QuotaError),
    ],
)
def test_what_cannot_be_is_one_sentence_and_has_no_effect(
    own: Any, break_it: Callable[[Any], None], error: type[ActivityError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bigquery, "_SECONDS", 0.05)
    break_it(own)
    with pytest.raises(ActivityError) as caught:
        load(own)
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert (people(own), lines(own)) == (BEFORE, [(1, 3, 3)])
    own.google.refuse, own.google.token_refusal = lambda request: None, None
    own.google.objects.location = "EU"
    load(own)
    assert (people(own), lines(own), staged(own)) == (AFTER, [(1, 3, 3), (2, 2, 2)], [])


def test_no_credentials(own: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    for name, value in {"CLOUDSDK_CONFIG": str(tmp_path), "NO_GCE_CHECK": "true"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(NotAllowedError, match="gcloud auth"):
        load(own)


def test_nothing_answers(own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bigquery, "_SECONDS", 0.05)
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", "http://127.0.0.1:9")
    with pytest.raises(ServiceUnavailableError):
        load(own)


def test_tables_that_were_dropped_are_loaded_anew(own: Any) -> None:
    """The job of a part has its old name then, and its effect is gone."""
    load(own)
    for name in list(own.tables.tables):
        own.tables.drop_table(name)
    assert [one.rows for one in load(own).loaded] == [2]
    assert (people(own), lines(own)) == (AFTER, [(1, 2, 2)])
    own.put(*day_file(DAY, BEFORE))
    load(own)
    for name in list(own.tables.tables):
        own.tables.drop_table(name)
    own.put(*day_file(DAY, BEFORE))
    assert [one.rows for one in load(own).loaded] == [3]
    assert people(own) == BEFORE


def test_partitions_and_addresses(bigquery_warehouse: Any) -> None:
    bigquery_warehouse.put(*day_file(DAY, AFTER))
    bigquery_warehouse.put(*prediction_file(DAY, 3))
    loading.load(bigquery_warehouse.settings, ["daily", "predictions"])
    parts = {name: one.get("timePartitioning") for name, one in bigquery_warehouse.tables.tables.items()}
    assert parts["daily"] == {"type": "DAY", "field": "date"}
    assert parts["predictions"] == {"type": "DAY", "field": "window_start"}
    assert parts["activity_loads"] is None
    wrong = replaced(bigquery_warehouse.settings, cloud={"bigquery": f"bigquery://{PROJECT}/{DATASET}_2"})
    with pytest.raises(NotFoundError, match=r"cloud\.bigquery"):
        loading.load(wrong, ["daily"])
