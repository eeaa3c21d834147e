"""The archive of Spark's classes: whose it is, and that one which does not fit does no harm."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from own_settings import replaced

from activitymodule import settings as config
from activitymodule.settings import Settings
from activitymodule.streaming.class_archive import fingerprint, is_current, note_of
from activitymodule.streaming.java import which_java
from activitymodule.streaming.session import class_archive, class_archive_options


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    jars = tmp_path / "spark"
    jars.mkdir()
    (jars / "connector.jar").write_bytes(b"one")
    return replaced(config.load({}), spark={"jars": str(jars)})


def note(settings: Settings) -> None:
    """What `make` leaves beside the archive."""
    note_of(settings).write_text(fingerprint(settings))


def test_an_archive_belongs_to_its_jars(own):
    assert class_archive_options(own) == ""
    note(own)
    assert not is_current(own), "a note and no archive"
    class_archive(own).write_bytes(b"classes")
    assert is_current(own)
    assert str(class_archive(own)) in class_archive_options(own)
    (Path(own.spark.jars) / "connector.jar").write_bytes(b"another")
    assert not is_current(own)


def test_without_a_note_it_is_made_anew(own):
    class_archive(own).write_bytes(b"classes")
    assert not is_current(own)


@pytest.mark.parametrize("content", [b"", b"no archive at all" * 1000])
def test_an_archive_that_does_not_fit_is_left_aside_without_a_word(own, content):
    class_archive(own).write_bytes(content)
    java = which_java()
    assert java is not None, "tests need Java"
    ran = subprocess.run(
        [java, *class_archive_options(own).split(), "-version"], capture_output=True, text=True
    )
    plain = subprocess.run([java, "-version"], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "")
    # the last line says whether classes are shared
    assert ran.stderr.splitlines()[:2] == plain.stderr.splitlines()[:2]
    assert len(ran.stderr.splitlines()) == len(plain.stderr.splitlines())
