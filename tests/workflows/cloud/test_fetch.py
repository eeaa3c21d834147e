"""Raw data over real HTTP into folders and buckets, whatever the server does."""

from __future__ import annotations

import hashlib
import io
import json
import resource
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from own_google import OwnGoogle
from own_settings import replaced
from web_archive import Page, WebArchive, web_archive

from activitymodule.cloud import s3, targets
from activitymodule.errors import (
    ConfigError,
    DataError,
    FileChangedError,
    InterruptedFetchError,
    NotFoundError,
    ServiceUnavailableError,
)
from activitymodule.settings import Settings
from activitymodule.telemetry.sources import SOURCES, remote
from activitymodule.workflows.cloud.fetch import Report, fetch

RANDOM = np.random.default_rng(1)


def content(size: int) -> bytes:
    return RANDOM.bytes(size)


CSV = content(300_000)


@pytest.fixture
def web() -> Iterator[WebArchive]:
    with web_archive() as archive:
        yield archive


Run = Callable[..., Report]


@pytest.fixture
def run(web: WebArchive, tmp_path: Path) -> Run:
    """Fetch the pages of the server (or `files`) into `to`; an error of a file is raised."""

    def fetched(
        to: str | None = None, files: list[dict[str, Any]] | None = None, people: Any = None, **limits: Any
    ) -> Report:
        named = files or [{"name": name, "address": web.address(name)} for name in web.pages]
        (tmp_path / "manifest.json").write_text(json.dumps({"files": named}))
        settings = replaced(
            Settings(),
            fetch={
                "manifests": {"casas": str(tmp_path / "manifest.json")},
                "first_wait_seconds": 0.001,
                "stall_seconds": 5,
                "attempts": 4,
                **limits,
            },
        )
        report, error = fetch(settings, "casas", to or str(tmp_path / "raw"), people)
        if error is not None:
            raise error
        return report

    return fetched


def zipped(files: dict[str, bytes], **options: Any) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return out.getvalue()


def in_folder(folder: Path) -> dict[str, bytes]:
    """What lies in a target, without the records of what was fetched."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "_fetched" not in path.parts
    }


def test_files_arrive_and_stay(web: WebArchive, run: Run, tmp_path: Path) -> None:
    web.pages |= {"a.csv": Page(CSV), "b/c.csv": Page(b""), "d.csv": Page(b"x")}
    report = run()
    assert in_folder(tmp_path / "raw") == {"a.csv": CSV, "b/c.csv": b"", "d.csv": b"x"}
    assert (report.fetched, report.kept, report.bytes) == (3, 0, len(CSV) + 1)
    assert {one.name: one.sha256 for one in report.files}["a.csv"] == hashlib.sha256(CSV).hexdigest()
    asked = dict(web.asked)
    assert (run().kept, dict(web.asked)) == (3, asked), "a second run asks for nothing"
    (tmp_path / "raw" / "d.csv").unlink()
    assert (run().fetched, (tmp_path / "raw" / "d.csv").read_bytes()) == (1, b"x")


@pytest.mark.parametrize(
    ("faults", "requests"),
    [
        ({"cut": 100_000}, 2),
        ({"cut": 70_000, "cuts": 3}, 4),
        ({"cut": 100_000, "ranges": False}, 3),
        ({"statuses": [429, 503, 500]}, 4),
        ({"html": 2}, 3),
        ({"cut": 100_000, "etag": None}, 2),
    ],
)
def test_a_server_with_faults(
    web: WebArchive, run: Run, tmp_path: Path, faults: dict[str, Any], requests: int
) -> None:
    web.pages["a.csv"] = Page(CSV, **faults)
    run()
    assert in_folder(tmp_path / "raw") == {"a.csv": CSV}
    assert web.asked["a.csv"] == requests


def test_what_was_there_before_a_cut_is_not_sent_again(web: WebArchive, run: Run) -> None:
    web.pages["a.csv"] = Page(CSV, cut=100_000)
    assert run().bytes == len(CSV)
    assert web.ranges == [("a.csv", None), ("a.csv", "bytes=100000-")]


def test_a_stalled_connection_counts_as_cut(web: WebArchive, run: Run, tmp_path: Path) -> None:
    web.pages["a.csv"] = Page(CSV, stall=1)
    run(stall_seconds=0.3)
    assert in_folder(tmp_path / "raw") == {"a.csv": CSV}
    assert web.ranges[-1] == ("a.csv", "bytes=150000-")


def test_a_file_that_changes_in_mid_way_is_read_again(web: WebArchive, run: Run, tmp_path: Path) -> None:
    other = content(len(CSV))

    def change(page: Page, number: int) -> None:
        if number == 2:
            page.content, page.etag = other, '"2"'

    web.pages["a.csv"] = Page(CSV, cut=100_000, after=change)
    run()
    assert in_folder(tmp_path / "raw") == {"a.csv": other}

    def always(page: Page, number: int) -> None:
        page.etag, page.cuts = f'"{number}"', 1

    web.pages["a.csv"] = Page(CSV, cut=100_000, after=always)
    (tmp_path / "raw" / "a.csv").unlink()
    with pytest.raises(FileChangedError):
        run()
    assert in_folder(tmp_path / "raw") == {}


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        (Page(CSV, html=99), ServiceUnavailableError),
        (Page(CSV, statuses=[503] * 99), ServiceUnavailableError),
        (Page(CSV, lie=10), DataError),
        (Page(CSV, statuses=[404]), NotFoundError),
        (Page(CSV, statuses=[403]), ConfigError),
    ],
)
def test_a_server_that_keeps_failing(web: WebArchive, run: Run, page: Page, kind: type[Exception]) -> None:
    """The other files arrive all the same."""
    web.pages |= {"a.csv": page, "b.csv": Page(b"b")}
    with pytest.raises(kind, match="1 of 2 files"):
        run()
    assert web.sent["b.csv"] == 1


def test_sizes_and_hashes_of_the_manifest_count(web: WebArchive, run: Run, tmp_path: Path) -> None:
    web.pages["a.csv"] = Page(CSV)
    named = {"name": "a.csv", "address": web.address("a.csv")}
    right = {**named, "size": len(CSV), "sha256": hashlib.sha256(CSV).hexdigest()}
    for wrong in ({**right, "size": 5}, {**right, "sha256": "0" * 64}):
        with pytest.raises(DataError):
            run(files=[wrong])
        assert in_folder(tmp_path / "raw") == {}
    assert run(files=[right]).fetched == 1
    with pytest.raises(DataError):
        run(files=[{**right, "sha256": "0" * 64}])


def test_a_run_that_was_ended_goes_on(
    web: WebArchive, run: Run, tmp_path: Path, aws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into a folder by its part, into a bucket by its upload; the bytes before are not asked for again."""
    part = 5 << 20  # the least that S3 takes
    monkeypatch.setattr(s3, "LEAST_PART", part)
    big = content(2 * part + 1000)
    named = {"name": "big.csv", "address": web.address("big.csv"), "sha256": hashlib.sha256(big).hexdigest()}

    def ends(page: Page, number: int) -> None:
        page.statuses += [503] * (number > 1)

    for to, start in ((str(tmp_path / "raw"), 7 << 20), ("s3://raw/deep", part)):
        web.asked.clear()
        web.pages["big.csv"] = Page(big, cut=7 << 20, after=ends)
        with pytest.raises(ServiceUnavailableError):
            run(to)
        web.pages["big.csv"] = Page(big)
        web.ranges.clear()
        report = run(to, files=[named])
        assert web.ranges == [("big.csv", f"bytes={start}-")]
        assert report.files[0].sha256 == named["sha256"]
    assert (tmp_path / "raw" / "big.csv").read_bytes() == big
    client = boto3.client("s3")
    assert client.get_object(Bucket="raw", Key="deep/big.csv")["Body"].read() == big
    assert "Uploads" not in client.list_multipart_uploads(Bucket="raw")


def test_an_interrupt_ends_it(web: WebArchive, run: Run, tmp_path: Path) -> None:
    web.pages["a.csv"] = Page(CSV, statuses=[503] * 99)
    settings = replaced(
        Settings(), fetch={"manifests": {"casas": str(tmp_path / "m.json")}, "first_wait_seconds": 50}
    )
    (tmp_path / "m.json").write_text(
        json.dumps({"files": [{"name": "a.csv", "address": web.address("a.csv")}]})
    )

    def interrupt(running: Callable[[], bool]) -> None:
        assert running()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(settings, "casas", str(tmp_path / "raw"), watch=interrupt)
    assert InterruptedFetchError.exit_code == 3


def test_zips_are_opened_on_the_way(web: WebArchive, run: Run, tmp_path: Path, aws: str) -> None:
    inside = {"p1.csv": CSV, "deep/p2.csv": b"2" * 50_000, "__MACOSX/x": b"", "p3.csv": b""}
    archive = zipped(inside)
    web.pages["c01.zip"] = Page(archive, cut=200_000)
    expected = {f"c01/{name}": text for name, text in inside.items() if "MACOSX" not in name}
    report = run()
    assert in_folder(tmp_path / "raw") == expected
    assert report.files[0].sha256 == hashlib.sha256(archive).hexdigest(), "also of what was read as a stream"
    run("s3://raw/zips")
    bucket = boto3.resource("s3").Bucket("raw")
    found = {one.key: one.get()["Body"].read() for one in bucket.objects.filter(Prefix="zips/c01/")}
    assert found == {f"zips/{name}": text for name, text in expected.items()}
    (tmp_path / "raw" / "c01" / "p3.csv").unlink()
    assert run().fetched == 1
    assert in_folder(tmp_path / "raw") == expected


def test_zips_of_servers_without_ranges_and_of_some_people(web: WebArchive, run: Run, tmp_path: Path) -> None:
    archive = zipped({"p1.csv": CSV, "p2.csv": b"2"})
    web.pages |= {"c01.zip": Page(archive, ranges=False), "p9.csv": Page(b"9"), "p1.csv": Page(b"1")}
    run(people=["p2", "p9"])
    assert in_folder(tmp_path / "raw") == {"c01/p2.csv": b"2", "p9.csv": b"9"}


def test_zip64_is_read(web: WebArchive, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(zipfile, "ZIP64_LIMIT", 10)
        patch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
        archive = zipped({"p1.csv": CSV, "p2.csv": CSV})
    assert b"PK\6\6" in archive
    web.pages["c01.zip"] = Page(archive)
    run()
    assert in_folder(tmp_path / "raw") == {"c01/p1.csv": CSV, "c01/p2.csv": CSV}


@pytest.mark.parametrize("name", ["../out.csv", "/etc/out.csv", "a/../../out.csv", "c:\\out.csv", "a\nb"])
def test_no_name_leaves_the_target(web: WebArchive, run: Run, tmp_path: Path, name: str) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("fine.csv", b"1")
        member = zipfile.ZipInfo("x")
        member.filename = name
        archive.writestr(member, b"2")
    web.pages["c01.zip"] = Page(out.getvalue())
    with pytest.raises(DataError, match="would not lie in the target"):
        run()
    with pytest.raises(DataError):
        run(files=[{"name": name, "address": web.address("c01.zip")}])
    assert in_folder(tmp_path / "raw") == {}
    assert not list(tmp_path.rglob("out.csv"))


def test_damaged_zips_are_said_and_fetched_again(web: WebArchive, run: Run, tmp_path: Path) -> None:
    archive = zipped({"p1.csv": CSV, "p2.csv": CSV})
    damaged = bytearray(archive)
    damaged[len(archive) // 4] ^= 255
    for broken in (archive[:-30], archive[: len(archive) // 2], bytes(damaged), b"PK no zip"):
        web.pages["c01.zip"] = Page(broken)
        with pytest.raises(DataError, match="no whole zip archive"):
            run()
        assert not [name for name in in_folder(tmp_path / "raw") if name.startswith(".")]

    def mended(page: Page, number: int) -> None:
        page.content = archive if number > 3 else archive[:-30]

    web.asked.clear()
    web.pages["c01.zip"] = Page(archive, after=mended, etag=None)
    run()
    assert in_folder(tmp_path / "raw") == {"c01/p1.csv": CSV, "c01/p2.csv": CSV}


def test_links_of_a_page_are_a_manifest(web: WebArchive, tmp_path: Path) -> None:
    page = '<!DOCTYPE html><a href="data/a%20b.zip">x</a><a href="/about.html">y</a><a href="mailto:z">z</a>'
    web.pages |= {"datasets/": Page(page.encode()), "datasets/data/a%20b.zip": Page(zipped({"p1.csv": b"1"}))}
    settings = replaced(Settings(), fetch={"manifests": {"casas": web.address("datasets/")}})
    report, error = fetch(settings, "casas", str(tmp_path / "raw"))
    assert error is None
    assert in_folder(tmp_path / "raw") == {"a b/p1.csv": b"1"}
    assert report.fetched == 1
    web.pages["datasets/"] = Page(b"<html>nothing</html>")
    with pytest.raises(DataError):
        fetch(settings, "casas", str(tmp_path / "raw"))


@pytest.mark.parametrize(
    "text", ["", "[", "files: []", "files: [{name: a, address: 'ftp://x'}]", "files: 3", "a: {{"]
)
def test_a_wrong_manifest(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.yaml").write_text(text)
    settings = replaced(Settings(), fetch={"manifests": {"casas": str(tmp_path / "m.yaml")}})
    with pytest.raises(DataError):
        fetch(settings, "casas", str(tmp_path / "raw"))
    with pytest.raises(ConfigError, match=r"fetch\.manifests"):
        fetch(settings, "wisdm", str(tmp_path / "raw"))


def test_a_bucket_that_is_not_there_is_one_sentence(web: WebArchive, run: Run, aws: str) -> None:
    web.pages["a.csv"] = Page(CSV)
    with pytest.raises(NotFoundError, match="NoSuchBucket"):
        run("s3://nowhere/raw")
    with pytest.raises(ConfigError):
        run("ftp://nowhere")


def test_arrow_writes_where_only_arrow_can(tmp_path: Path) -> None:
    """Cloud Storage goes this way; here it is a folder."""
    target = targets.target_at(f"file://{tmp_path}/x")
    assert target.size("a/b") is None
    sink = target.sink("a/b")
    sink.write(b"12")
    assert target.names("") == ["a/.b.part"]
    sink.commit()
    sink = target.sink("a/c")
    sink.write(b"3")
    sink.keep()
    assert (target.names(""), b"".join(target.read("a/b")), target.size("a/b")) == (["a/b"], b"12", 2)
    target.remove("a/b")
    assert target.names("") == []


def test_cloud_storage_is_fetched_to(web: WebArchive, run: Run, google: OwnGoogle) -> None:
    web.pages["a.csv"] = Page(CSV, cut=100_000)
    web.pages["b.csv"] = Page(b"2")
    to = f"gs://{google.bucket}/fetched"
    assert (run(to).fetched, run(to).kept) == (2, 2)
    target = targets.target_at(to)
    assert b"".join(target.read("a.csv")) == CSV
    sink = target.sink("c.csv")
    sink.write(b"12")
    sink.keep()
    found = [name for name in target.names("") if not name.startswith("_fetched/")]
    assert found == ["a.csv", "b.csv"], "nothing that is not whole stays"
    units = remote.scan(SOURCES["casas"], to)
    assert list(units.values()) == [len(CSV), 1], "as `activity prepare` finds them"
    with remote.local(next(iter(units))) as here:
        assert Path(here.path).read_bytes() == CSV
    for name in target.names(""):
        target.remove(name)
    assert target.names("") == []


def test_memory_does_not_grow_with_the_file(web: WebArchive, run: Run) -> None:
    web.pages["big.csv"] = Page(bytes(64 << 20))
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


@pytest.mark.soak
def test_gigabytes_pass_in_constant_memory(web: WebArchive, run: Run, tmp_path: Path) -> None:
    web.pages["big.csv"] = Page(content(64 << 20), repeat=80)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = run()
    assert (tmp_path / "raw" / "big.csv").stat().st_size == report.bytes == 80 * (64 << 20)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kB"
    print(f"{report.bytes / report.seconds / 1e6:.0f} MB/s")
    (tmp_path / "raw" / "big.csv").unlink()
