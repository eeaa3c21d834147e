"""`activity annotate export` and `import`: files of labels, in a locale that knows no UTF-8."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from activitymodule.settings import Settings, environment_of

pytestmark = pytest.mark.integration

HEAD = "device_id,window_start,label,annotator,created_at\n"


def annotate(settings: Settings, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    ascii_only = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    return subprocess.run(
        [sys.executable, "-m", "activitymodule", "annotate", *arguments],
        env={**os.environ, **environment_of(settings), **ascii_only},
        capture_output=True,
        timeout=120,
        check=False,
    )


def test_labels_go_out_and_come_in(fresh_settings: Settings, tmp_path: Path) -> None:
    path, out = tmp_path / "labels.csv", tmp_path / "out.csv"
    rows = HEAD + "'-watch1,2026-09-21T14:13:20.000001+02:00,चलना,'@zoe,2026-09-21T12:20:00Z\n"
    path.write_text(rows, encoding="utf-8")
    first = annotate(fresh_settings, "import", path, "--json")
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout) == {"added": 1, "known": 0, "unmatched": 1, "passed_over": {}}
    path.write_text(rows.replace("चलना", "walking").replace("12:20:00Z", "12:19:00Z"), encoding="utf-8")
    older = annotate(fresh_settings, "import", path)
    assert b"passed over: 1 older than the annotator's answer in the store" in older.stdout
    assert annotate(fresh_settings, "export", out).returncode == 0
    printed = annotate(fresh_settings, "export")
    assert printed.stdout == out.read_bytes()
    assert "'-watch1,2026-09-21T12:13:20.000001+00:00," in printed.stdout.decode()
    assert ",'@zoe,label,चलना," in printed.stdout.decode()

    path.write_text(rows + "w,2026-09-21T14:13:20Z,<b>,anna,\n", encoding="utf-8")
    bad = annotate(fresh_settings, "import", path)
    assert bad.returncode == 4
    assert f"{path}: line 3, column label: '<b>' is no valid label" in bad.stderr.decode()
    assert annotate(fresh_settings, "export").stdout == printed.stdout
