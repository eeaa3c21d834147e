"""Zip and tar archives, and archives within them: members are listed and read, damage is named."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from damage import damaged
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activitymodule.errors import DataError
from activitymodule.telemetry.sources.archives import is_archive, members, opened_file

FILES = {"a/one.csv": b"1\n" * 5000, "a/two.csv": b"2\n", "__MACOSX/a/._one.csv": b"x"}


def zipped(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/", b"")
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return content.getvalue()


ARCHIVES = {"x.zip": zipped(FILES), "x.tar.gz": tarred(FILES), "X.ZIP": zipped(FILES)}


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize("outer", [None, "outer.zip", "outer.tar"])
def test_members_are_listed_and_read(name: str, outer: str | None, tmp_path: Path) -> None:
    path, inside, content = tmp_path / name, "", ARCHIVES[name]
    if outer:
        path, inside = tmp_path / outer, f"b/{name}!/"
        content = {"outer.zip": zipped, "outer.tar": lambda files: tarred(files, "w")}[outer](
            {f"b/{name}": content, "c.csv": b"3"}
        )
    path.write_bytes(content)
    assert is_archive(path)
    names = members(path)
    assert names == [*(inside + one for one in ("a/one.csv", "a/two.csv")), *(["c.csv"] if outer else [])]
    for one, data in FILES.items():
        if "MACOSX" not in one:
            with opened_file(str(path), inside + one, "it") as stream:
                assert stream.read() == data
    with pytest.raises(DataError, match="three"), opened_file(str(path), inside + "a/three.csv", "it"):
        pass


def test_an_encrypted_zip_says_so(tmp_path: Path) -> None:
    content = bytearray(zipped({"one.csv": b"1"}))
    content[content.rindex(b"PK\1\2") + 8] |= 1
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(DataError, match="encrypted"):
        members(tmp_path / "x.zip")


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz", "outer.zip"])
@given(data=st.data())
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_damaged_archive_is_an_error(name: str, tmp_path: Path, data: st.DataObject) -> None:
    content = zipped({"x.zip": ARCHIVES["x.zip"]}) if name == "outer.zip" else ARCHIVES[name]
    path = tmp_path / name
    path.write_bytes(data.draw(damaged(content)))
    told = ""
    try:
        for member in members(path):
            with opened_file(str(path), member, str(path)) as stream:
                stream.read()
    except DataError as error:
        told = str(error)
    assert not told or name in told
