"""Verbs of the command line without the time that their processes take to begin.

Most of a short verb's time is that of importing libraries, and most of a short Spark job's that of starting Java.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

_SERVER = """
import importlib, json, os, pkgutil, sys, traceback
from activitymodule import cli, workflows
from activitymodule.settings import settings

fork = sys.argv[1] == "fork"
if fork:
    for module in pkgutil.walk_packages(workflows.__path__, workflows.__name__ + "."):
        importlib.import_module(module.name)

def run(asked):
    os.environ.clear()
    os.environ.update(asked["environment"])
    settings.cache_clear()
    for number, name in enumerate((os.devnull, asked["out"], asked["err"])):
        opened = os.open(name, os.O_RDWR)
        os.dup2(opened, number)
        os.close(opened)
    try:
        cli.main(asked["arguments"])
        return 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()

kept = [os.dup(number) for number in range(3)]
for line in sys.stdin:
    child = os.fork() if fork else None
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    else:
        code = run(json.loads(line))
    if child == 0:
        os._exit(code)
    for number, one in enumerate(kept):
        os.dup2(one, number)
    print(code, flush=True)
"""


class Verbs:
    """A process that runs one verb after the other: each in a fork of its own, with the libraries imported already, or
    all in the process itself, so that Java starts once. It ends with its block."""

    def __init__(self, *, fork: bool = True) -> None:
        self._mode = "fork" if fork else "here"
        self._server: subprocess.Popen[str] | None = None

    def __enter__(self) -> Verbs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.kill()
            self._server.communicate()

    def run(self, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
        """`activity ARGUMENTS` in this environment, without input."""
        server = self._server = self._server or subprocess.Popen(
            [sys.executable, "-c", _SERVER, self._mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert server.stdin is not None
        assert server.stdout is not None
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder) / "out", Path(folder) / "err"
            out.touch()
            err.touch()
            asked = {"environment": environment, "arguments": arguments, "out": str(out), "err": str(err)}
            server.stdin.write(json.dumps(asked) + "\n")
            server.stdin.flush()
            answer = server.stdout.readline()
            assert answer, f"the process that runs verbs ended with code {server.wait()}"
            texts = (path.read_text("utf-8", errors="replace") for path in (out, err))
            return subprocess.CompletedProcess(["activity", *arguments], int(answer), *texts)
