"""What AWS may answer while data and code are copied, and tables made: one sentence each, and the next run goes on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import boto3
import pytest
from faulty_cloud import Fault, FaultyCloud
from own_settings import replaced
from web_archive import Page, web_archive

from activitymodule.cloud import s3
from activitymodule.errors import ActivityError, NotAllowedError, QuotaError, SignInRefusedError
from activitymodule.settings import Settings
from activitymodule.workflows.cloud import catalogue
from activitymodule.workflows.cloud.fetch import fetch
from activitymodule.workflows.cloud.stage import CURRENT, stage, staged

RIGHTS = (403, "AccessDenied", NotAllowedError, "allow this role or user the action")
EXPIRED = (400, "ExpiredToken", SignInRefusedError, "sign in again, and repeat")
CODE = ("activitymodule/a.py", "spark/run_verb.py", "spark/b.py", "infra/emr/bootstrap.sh")
PART = 5 << 20  # the least that S3 takes


def checkout(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> Settings:
    """A small project, and settings with a place of its own to stage it to."""
    monkeypatch.setenv("ACTIVITY_HOME", str(folder))
    for file in (*CODE, "pyproject.toml", "requirements.lock"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text("first")
    return replaced(Settings(), lake={"folder": "s3://raw/lake"}, cloud={"staging": f"s3://raw/{name}"})


def one_sentence(error: BaseException, match: str) -> None:
    assert match in str(error)
    assert "\n" not in str(error)
    assert "Traceback" not in str(error)


@pytest.mark.parametrize("fault", [RIGHTS, EXPIRED])
def test_a_fetch_goes_on_with_the_parts_that_were_sent(
    faulty: FaultyCloud,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: tuple[int, str, type[ActivityError], str],
) -> None:
    """Refused at the second part of a file; what S3 has of it is not asked for again."""
    monkeypatch.setattr(s3, "LEAST_PART", PART)
    status, code, kind, match = fault
    big = hashlib.sha256(b"x").digest() * (PART // 16)  # two parts
    faulty.faults.append(Fault("s3 PUT .*/big.csv", status, code, times=9, after=1))
    with web_archive() as web:
        web.pages |= {"big.csv": Page(big), "small.csv": Page(b"1")}
        named = [{"name": name, "address": web.address(name)} for name in web.pages]
        (tmp_path / "manifest.json").write_text(json.dumps({"files": named}))
        settings = replaced(Settings(), fetch={"manifests": {"casas": str(tmp_path / "manifest.json")}})
        report, error = fetch(settings, "casas", "s3://raw/faults")
        assert type(error) is kind
        one_sentence(error, match)
        assert [(one.name, one.status) for one in report.files] == [
            ("big.csv", "failed"),
            ("small.csv", "fetched"),
        ]
        faulty.faults.clear()
        web.ranges.clear()
        report, error = fetch(settings, "casas", "s3://raw/faults")
        assert (error, report.fetched, report.kept) == (None, 1, 1)
        assert web.ranges == [("big.csv", f"bytes={PART}-")]
    client = boto3.client("s3")
    assert client.get_object(Bucket="raw", Key="faults/big.csv")["Body"].read() == big
    assert "Uploads" not in client.list_multipart_uploads(Bucket="raw")


@pytest.mark.parametrize("fault", [RIGHTS, EXPIRED])
def test_jobs_keep_the_code_they_had_where_staging_fails(
    faulty: FaultyCloud,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: tuple[int, str, type[ActivityError], str],
) -> None:
    status, code, kind, match = fault
    settings = checkout(tmp_path, monkeypatch, f"half-{code}")
    before = stage(settings).staged
    for name in CODE:
        (tmp_path / name).write_text(f"second {name}")
    faulty.faults.append(Fault("s3 PUT .*", status, code, times=9, after=2))
    with pytest.raises(kind) as failed:
        stage(settings)
    one_sentence(failed.value, match)
    faulty.faults.clear()
    assert staged(settings) == before, f"{CURRENT} is written last"
    again = stage(settings)
    assert again.kept >= 2, "what the run before it had copied"
    assert staged(settings) == again.staged != before


@pytest.mark.parametrize(
    ("code", "kind", "match"),
    [
        ("AccessDeniedException", NotAllowedError, "allow this role or user the action CreateTable"),
        ("ExpiredTokenException", SignInRefusedError, "sign in again"),
        ("ResourceNumberLimitExceededException", QuotaError, "ask for a higher quota"),
    ],
)
def test_tables_that_are_half_made_are_completed(
    faulty: FaultyCloud, code: str, kind: type[ActivityError], match: str
) -> None:
    settings = replaced(Settings(), lake={"folder": "s3://raw/lake"})
    faulty.faults.append(Fault("glue CreateTable", 400, code, after=1))
    with pytest.raises(kind) as failed:
        catalogue.update(settings)
    one_sentence(failed.value, match)
    assert len(catalogue.made(settings)) == 1
    assert [one.made for one in catalogue.update(settings)] == [False, True, True]


def test_what_is_throttled_is_asked_again(
    faulty: FaultyCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the last call of each: after it boto3 makes calls more slowly."""
    faulty.faults += [
        Fault("s3 PUT .*/current.json", 503, "SlowDown"),
        Fault("glue CreateTable", 400, "ThrottlingException", after=2),
    ]
    settings = checkout(tmp_path, monkeypatch, "throttled")
    before = stage(settings).staged
    assert staged(settings) == before
    assert all(one.made for one in catalogue.update(settings))
    assert not any(one.times for one in faulty.faults)
