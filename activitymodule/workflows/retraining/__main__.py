"""A whole retraining as a process of its own: what `request.begin` starts. Its settings come on stdin."""

from __future__ import annotations

import json
import sys

from activitymodule.errors import ActivityError
from activitymodule.settings import build
from activitymodule.workflows.retraining.results import Options
from activitymodule.workflows.retraining.run import run_all


def main() -> int:
    """Run it; the exit code."""
    content = json.loads(sys.stdin.read())
    config, run_id = build(content["settings"]), content["run_id"]
    try:
        done = run_all(
            config,
            run_id,
            Options.model_validate(content["options"]),
            why=content["why"],
            started_by=content["started_by"],
        )
    except ActivityError as error:
        print(f"retrain {run_id}: {error}", flush=True)
        return error.exit_code
    print(f"retrain {run_id}: {done.state}: {done.summary}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
