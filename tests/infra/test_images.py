"""What the Dockerfile copies is enough for what it runs there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_stage_of_jars_has_every_module_that_it_imports(tmp_path: Path) -> None:
    dockerfile = (ROOT / "infra/docker/Dockerfile").read_text(encoding="utf-8")
    copied = [
        file
        for line in re.findall(r"^COPY ((?:activitymodule/\S+\.py )+)", dockerfile, re.MULTILINE)
        for file in line.split()
    ]
    assert "activitymodule/streaming/jars.py" in copied
    for file in copied:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    # no packages either: that stage has none of the project's but these files
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import activitymodule.streaming.jars"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
