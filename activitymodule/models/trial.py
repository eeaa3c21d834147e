"""A model loaded and tried in a process of its own, so that one which crashes ends that process and no other.

`python -m activitymodule.models.trial` reads one model from its standard input, loads it as the scorer does, compares
its answers with those on its card and writes the outcome to its standard output. It knows no setting and no password,
and its memory and time are bounded.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from activitymodule.errors import ModelError, ServiceUnavailableError
from activitymodule.models.answering import compare
from activitymodule.models.bundle import ModelBytes, load_model
from activitymodule.models.export import libraries

SECONDS = 120.0
_CPU_SECONDS = 60
_MEMORY_BYTES = 3 << 30  # of addresses, of which the libraries take a third
_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "SYSTEMROOT")
# what ends a trial from outside is no evidence against the model
_INTERRUPTED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Outcome:
    """refusal : why the model must not be used, None where it may; note : worth telling, where it may; sure : whether
    another try would end so too"""

    refusal: str | None = None
    note: str | None = None
    sure: bool = True


def try_model(stored: ModelBytes, kind: str, *, seconds: float = SECONDS) -> Outcome:
    """The outcome of loading and trying a model in a process of its own. Blocks for some 2 s.

    kind : "activity" or "energy". Raises ServiceUnavailableError where the process could not run to its end for a
    reason that is not the model's.
    """
    header = {"kind": kind, "version": stored.version, "card": stored.card}
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    # the code that runs here, wherever the process is started
    path = [str(Path(__file__).resolve().parents[2]), environment.get("PYTHONPATH", "")]
    environment |= {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
    }
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "activitymodule.models.trial"],
            input=json.dumps(header).encode() + b"\n" + stored.content,
            capture_output=True,
            timeout=seconds,
            env=environment,
            check=False,
            # Ctrl-C is for this process
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        return Outcome(f"it did not load and answer within {seconds:g} s")
    except OSError as error:
        raise ServiceUnavailableError(f"a model cannot be tried: {error.strerror}; try again") from error
    return _outcome(ended)


def _outcome(ended: subprocess.CompletedProcess[bytes]) -> Outcome:
    if -ended.returncode in _INTERRUPTED:
        raise ServiceUnavailableError("the trial of a model was interrupted; try again")
    try:
        if ended.returncode == 0:
            return Outcome(**json.loads(ended.stdout.splitlines()[-1]))
    except (ValueError, TypeError, IndexError):
        pass
    how = f"code {ended.returncode}"
    if ended.returncode < 0:
        how = signal.Signals(-ended.returncode).name
    last = (ended.stderr.decode(errors="replace").strip().splitlines() or ["without a word"])[-1]
    # the kernel kills a process for the memory of others, too
    sure = ended.returncode != -signal.SIGKILL
    return Outcome(f"the process that tried it ended with {how} ({last[:200]})", sure=sure)


def _limit() -> None:
    """Bound this process."""
    for what, most in (
        (resource.RLIMIT_AS, _MEMORY_BYTES),
        (resource.RLIMIT_CPU, _CPU_SECONDS),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(ValueError, OSError):  # macOS knows no bound of addresses
            resource.setrlimit(what, (bound, hard))


def _tried(kind: str, stored: ModelBytes) -> Outcome:
    try:
        model, card = load_model(stored, kind)
        differs = compare(model, card)
    except ModelError as error:
        return Outcome(str(error))
    except MemoryError:
        return Outcome(f"it needs more than {_MEMORY_BYTES >> 30} GB of memory")
    except Exception as error:
        return Outcome(f"it does not answer ({type(error).__name__}: {str(error)[:200]})")
    known = card.libraries or {}
    here = libraries()
    others = [
        f"{name} {known[name]} (here {here.get(name)})" for name in known if known[name] != here.get(name)
    ]
    made = f"it was trained with {', '.join(others)}" if others else None
    if differs:
        return Outcome(f"{differs}; {made or 'with the same libraries'}; train it again")
    if made is None:
        return Outcome()
    compared = (
        "its answers to the windows on its card are the same"
        if card.scored
        else "its card has no windows to compare"
    )
    return Outcome(note=f"{made}; {compared}")


def main() -> None:
    """Try the model on the standard input."""
    _limit()
    line, _, content = sys.stdin.buffer.read().partition(b"\n")
    header = json.loads(line)
    outcome = _tried(header["kind"], ModelBytes(content, header["card"], header["version"]))
    sys.stdout.write("\n" + json.dumps({"refusal": outcome.refusal, "note": outcome.note}) + "\n")
    sys.stdout.flush()
    # without the exit handlers of the libraries
    os._exit(0)


if __name__ == "__main__":
    main()
