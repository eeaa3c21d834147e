"""Params of a DAG's run. Airflow hands on keys that a DAG does not have: a mistyped one would do nothing, unnoticed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from activitymodule.errors import ConfigError


def refuse_unknown(dag_id: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise ConfigError, which names the key and the nearest Param, where a run was given one that its DAG has not."""
    names = sorted(known)
    for key in sorted(set(given) - set(names)):
        near = difflib.get_close_matches(key[:60], names, 1)
        hint = f"did you mean {near[0]}?" if near else f"its Params are {', '.join(names) or 'none'}"
        raise ConfigError(f"{dag_id} has no Param {key[:60]!r}; {hint}")
