"""The same stories on each engine: EMR Serverless and EMR on EC2 by moto, Dataproc made of Google's messages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from faulty_cloud import Fault
from own_engines import Batches, Case, Serverless
from own_google import GoogleFault
from own_settings import replaced
from typer.testing import CliRunner

from activitymodule import cli
from activitymodule.errors import (
    ActivityError,
    ConfigError,
    JobFailedError,
    NotAllowedError,
    NotFoundError,
    QuotaError,
    SignInRefusedError,
)
from activitymodule.settings import Settings, environment_of, settings
from activitymodule.workflows.cloud import cleaning, running
from activitymodule.workflows.cloud.running import Request
from activitymodule.workflows.cloud.stage import stage
from activitymodule.workflows.cloud.stage import staged as what_is_staged


def fault(case: Case, call: str, kind: str, times: int = 1) -> None:
    """The next answers to a call : start or look, of a kind as each cloud has it."""
    pattern = getattr(case, call)
    if isinstance(case, Batches):
        code, status, message = {
            "rights": (403, "PERMISSION_DENIED", "Permission 'dataproc.batches.create' denied on resource"),
            "quota": (400, "INVALID_ARGUMENT", "Insufficient 'CPUS' quota. Requested 12.0, available 4.0."),
            "busy": (429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'requests per minute'"),
            "expired": (401, "UNAUTHENTICATED", "Request had invalid authentication credentials."),
        }[kind]
        case.google.faults.append(GoogleFault(pattern, code, status, message, times))
        if kind == "expired":
            case.google.signed_in = False
    else:
        status, code = {
            "rights": (403, "AccessDeniedException"),
            "quota": (402, "ServiceQuotaExceededException"),
            "busy": (400, "ThrottlingException"),
            "expired": (403, "ExpiredTokenException"),
        }[kind]
        case.cloud.faults.append(Fault(pattern, status, code, times=times))


def test_a_job_is_made_once_followed_and_shown(case: Case) -> None:
    config = case.make()
    job = running.submit(config, Request("preprocess", token="a-token"))
    assert case.words(job) == ["prepare", "casas", f"{config.cloud.staging}/raw/casas", "--json"]
    again = running.submit(config, Request("preprocess", token="a-token"))
    if not isinstance(case, Serverless):  # moto knows no tokens
        assert again.id == job.id
        assert running.submit(config, Request("preprocess", token="b")).id != job.id
    first, second = case.states
    states = iter([second, "SUCCESS"])
    case.set(job, first)
    seen = []

    def on_state(now: running.Job) -> None:
        seen.append(now.state)
        case.set(job, next(states, "SUCCESS"))

    with pytest.raises(NotFoundError):
        running.log(config, job.id, "stdout")
    case.log(job, "stdout", 'preparing\n{"readings": 5}\nclosing Spark\n')
    ended = running.follow(config, job, on_state=on_state)
    assert seen == [first, second, "SUCCESS"]
    assert ended.counts == {"readings": 5}
    assert ended.log[0] == "preparing"
    assert "closing Spark" in running.log(config, job.id, "stdout")
    with pytest.raises(ConfigError):
        running.log(config, job.id, "other")
    listed = {one.id: one for one in running.jobs(config, 10)}
    assert listed[job.id].state == "SUCCESS"
    assert "activity-preprocess" in listed[job.id].name
    assert running.stop(config, job.id).state == "SUCCESS", "what has ended stays as it is"


def test_a_job_that_fails_in_its_third_stage(case: Case) -> None:
    """The error ends with the end of the driver's log, and `clean` finds nothing in use."""
    config = case.make()
    job = running.submit(config, Request("train"))
    case.set(job, "FAILED", "Job aborted: stage 3 failed")
    case.log(job, "stderr", "first\n" * 100 + "OutOfMemoryError\n")
    with pytest.raises(JobFailedError, match="stage 3 failed") as failed:
        running.follow(config, job)
    assert str(failed.value).endswith("OutOfMemoryError")
    assert str(failed.value).count("first") == running.TAIL - 1
    found = cleaning.find(config)
    assert [one.keep for one in found] == [""]
    assert cleaning.remove(config, found) == found
    assert cleaning.find(config) == [], "and twice removes nothing more"
    assert cleaning.remove(config, found) == found, "what is gone is no error"


def test_a_job_is_ended_and_until_then_keeps_what_it_runs_in(case: Case) -> None:
    config = case.make()
    job = running.submit(config, Request("generate"))
    case.set(job, "RUNNING")
    (kept,) = cleaning.find(config)
    assert "run" in kept.keep
    assert cleaning.remove(config, [kept]) == []
    assert running.stop(config, job.id).state == "CANCELLED"
    with pytest.raises(JobFailedError, match="CANCELLED"):
        running.follow(config, job)
    for wrong in ("../x", "²", "x" * 1000):
        with pytest.raises(ConfigError):
            running.stop(config, wrong)


@pytest.mark.parametrize(
    ("kind", "error", "sentence"),
    [
        ("rights", NotAllowedError, "allow this role|give this account a role with dataproc.batches.create"),
        ("quota", QuotaError, "ask for a higher quota"),
    ],
)
def test_a_job_that_cannot_be_started_leaves_only_what_clean_removes(
    case: Case, kind: str, error: type[ActivityError], sentence: str
) -> None:
    config = case.make()
    fault(case, "start", kind)
    with pytest.raises(error, match=sentence) as refused:
        running.submit(config, Request("days", token="one"))
    assert "\n" not in str(refused.value), "one sentence"
    assert running.jobs(config, 10) == []
    cleaning.remove(config, cleaning.find(config))
    assert cleaning.find(config) == []
    assert running.submit(config, Request("days", token="one")).name.startswith("activity-days"), (
        "it goes again"
    )


def test_what_is_throttled_is_asked_again(case: Case) -> None:
    config = case.make()
    fault(case, "start", "busy")
    job = running.submit(config, Request("days"))
    case.set(job, "SUCCESS")
    assert running.follow(config, job).job.id == job.id
    assert len(running.jobs(config, 10)) == 1


def test_credentials_that_expire_while_a_job_runs(case: Case) -> None:
    """The job is not ended; who signs in again finds it."""
    config = case.make()
    job = running.submit(config, Request("days"))
    case.set(job, "RUNNING")

    def on_state(now: running.Job) -> None:
        fault(case, "look", "expired", times=3)

    with pytest.raises(SignInRefusedError, match=rf"sign in again.*{job.id} goes on.*last seen as RUNNING"):
        running.follow(config, job, on_state=on_state)
    if isinstance(case, Batches):
        case.google.signed_in = True
        case.google.faults.clear()
    else:
        case.cloud.faults.clear()
    assert [one.state for one in running.jobs(config, 10)] == ["RUNNING"]


def test_what_may_cost_too_much_is_asked_first(case: Case) -> None:
    config = replaced(case.make(), cloud={"most_dollars": 3})
    request = Request("train", hours=10)
    # 20 vCPU, 80 GB, or five nodes, or 20 Data Compute Units, for 10 h
    dollars = {"emr": 15.147, "emr-ec2": 12.0, "dataproc": 12.0}[case.name]
    assert running.estimate(config, request).dollars == pytest.approx(dollars, abs=0.001)
    asked = []
    with pytest.raises(QuotaError, match=r"\$ in 10 h"):
        running.submit(config, request, confirm=lambda cost: bool(asked.append(cost)))
    assert len(asked) == 1
    assert cleaning.find(config) == [], "nothing was made"
    running.submit(config, Request("train", hours=1), confirm=lambda cost: pytest.fail("1 h is cheap"))


def test_the_verbs(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    config = case.make()
    plain = environment_of(Settings())
    for name, value in environment_of(config).items():
        if plain.get(name) != value:
            monkeypatch.setenv(name, value)
    settings.cache_clear()

    def said(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(cli.app, ["cloud", *words, *on])
        assert done.exit_code == code, done.output
        return done.stdout

    on = ["--on", case.name]
    try:
        run = CliRunner().invoke(
            cli.app, ["cloud", "run", "days", *on, "--token", "t", "--json", "--", "--since", "30d"]
        )
        assert run.exit_code == 0, run.output
        job = json.loads(run.stdout)
        assert [one["id"] for one in json.loads(said("list", "--json"))] == [job["id"]]
        (made,) = running.jobs(config, 1)
        assert case.words(made)[-2:] == ["--since", "30d"]
        case.set(made, "SUCCESS")
        case.log(made, "stderr", "a line\n")
        assert said("logs", job["id"]) == "a line\n"
        assert json.loads(said("stop", job["id"], "--json"))["state"] == "SUCCESS"
        assert "nobody can be asked" in str(CliRunner().invoke(cli.app, ["cloud", "clean", *on]).exception)
        assert len(json.loads(said("clean", "--yes", "--json"))["removed"]) == 1
        assert "nothing to remove" in said("clean")
    finally:
        settings.cache_clear()


def test_only_old_code_that_no_job_needs_is_removed(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = case.make()
    scripts = ("spark/run_verb.py", "spark/other.py")
    for name in ("activitymodule/a.py", *scripts, "infra/emr/bootstrap.sh", "pyproject.toml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "requirements.lock").write_text("a==1")
    monkeypatch.setenv("ACTIVITY_HOME", str(tmp_path))
    versions = []
    for text in ("first", "second", "third"):
        (tmp_path / "activitymodule" / "a.py").write_text(text)
        versions.append(stage(config).staged.code.removeprefix(f"{config.cloud.staging}/"))
        if text == "second":
            job = running.submit(config, Request("train"))
            case.set(job, "RUNNING")
    found = {
        one.name: one.keep for one in cleaning.find(config, staged_too=True) if one.kind == "staged file"
    }
    assert found == {versions[0]: "", versions[1]: f"the job {job.id} needs it"}
    cleaning.remove(config, cleaning.find(config, staged_too=True))
    case.set(job, "SUCCESS")
    found = {
        one.name: one.keep for one in cleaning.find(config, staged_too=True) if one.kind == "staged file"
    }
    assert found == {versions[1]: ""}
    assert what_is_staged(config).code.endswith(versions[2])


def test_what_is_missing_is_said_before_anything_is_made(case: Case) -> None:
    config = case.make()
    scheme = "gs://" if isinstance(case, Batches) else "s3://"
    for cloud, match in (
        ({"staging": None}, r"cloud\.staging is not set"),
        ({"staging": "az://raw/jobs"}, "cannot read"),
        ({"staging": f"{scheme}raw/nothing"}, "activity cloud stage"),
        ({"engine": "databricks"}, "engine"),
    ):
        with pytest.raises(ConfigError, match=match):
            running.submit(replaced(config, cloud=cloud), Request("preprocess"))
    for wrong in (Request("prepare"), Request("train", on="databricks"), Request("train", token="²")):
        with pytest.raises(ConfigError):
            running.submit(config, wrong)
    assert cleaning.find(config) == []


def test_ctrl_c_ends_the_job_where_that_is_asked_for(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    config = case.make()

    def interrupt(_: Settings, job: running.Job, *__: object) -> None:
        case.set(job, "RUNNING")
        raise KeyboardInterrupt

    monkeypatch.setattr("activitymodule.jobs.cloud.settings", lambda: config)
    monkeypatch.setattr(running, "follow", interrupt)
    seen: set[str] = set()
    for words, state in (([], "RUNNING"), (["--cancel"], "CANCELLED")):
        done = CliRunner().invoke(cli.app, ["cloud", "run", "days", "--on", case.name, "--wait", *words])
        assert done.exit_code
        (job,) = (one for one in running.jobs(config, 9) if one.id not in seen)
        seen.add(job.id)
        assert job.state == state
        hint = "was cancelled" if words else f"activity cloud stop {job.id} --on {case.name}` ends it"
        assert hint in done.stderr
