"""What the names of files say: person, label and trial, as a regular expression over their paths."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

_PERSON = r"(s|sub|subj|subject|p|pp|pt|part|participant|person|u|user|id|v|volunteer)[-_ ]?\d+"
_TRIAL = r"(r|t|trial|run|rep|session|take|rec|set)\d+"
_TOKEN = re.compile(r"[A-Za-z]+\d*|\d+|[^A-Za-z0-9]+")
_MOST_LABELS = 40


@dataclass(frozen=True)
class PathGuess:
    """pattern : for `path`, None where the names say nothing; found : group -> its values in the order of names."""

    pattern: str | None
    found: dict[str, list[str]]


def path_of(names: list[str], labels_in_rows: bool) -> PathGuess:
    """What the paths of alike files say, by the parts of them that differ."""
    depth = min(len(PurePosixPath(name).parts) for name in names)
    for parts in range(min(3, depth), 0, -1):
        short = ["/".join(PurePosixPath(name).parts[-parts:]) for name in names]
        guess = _of(short, labels_in_rows)
        if guess is not None:
            return guess
    return PathGuess(None, {})


def _of(names: list[str], labels_in_rows: bool) -> PathGuess | None:
    tokens = [_TOKEN.findall(name) for name in names]
    if len({len(one) for one in tokens}) != 1:
        return None
    columns = list(zip(*tokens, strict=True))
    roles: list[str | None] = [None] * len(columns)
    varying = [i for i, values in enumerate(columns) if len(set(values)) > 1]
    for i in varying:
        distinct = set(columns[i])
        if all(re.fullmatch(_PERSON, v, re.IGNORECASE) for v in distinct) and "person" not in roles:
            roles[i] = "person"
        elif all(re.fullmatch(_TRIAL, v, re.IGNORECASE) for v in distinct):
            roles[i] = "trial"
        elif any(v[0].isalpha() for v in distinct) and len(distinct) <= _MOST_LABELS and not labels_in_rows:
            roles[i] = "label" if "label" not in roles else None
        elif all(v.isdigit() for v in distinct):
            roles[i] = "trial" if "trial" not in roles else None
    if "person" not in roles:
        alone = [
            i
            for i, values in enumerate(columns)
            if re.fullmatch(_PERSON, values[0], re.IGNORECASE) and len(set(values)) == 1
        ]
        numbers = [i for i in varying if all(v.isdigit() for v in columns[i])]
        if alone or numbers:
            roles[(alone or numbers)[0]] = "person"
    if "person" not in roles:
        return None
    for i in varying:  # a person's folder and file both have the name
        for role in ("person", "label"):
            if role in roles and i != roles.index(role) and columns[i] == columns[roles.index(role)]:
                roles[i] = None
    if roles.count("trial") > 1:
        roles = [r if r != "trial" or i == roles.index("trial") else None for i, r in enumerate(roles)]
    pattern = "".join(
        _expression(sorted(set(values)), role, i in varying)
        for i, (values, role) in enumerate(zip(columns, roles, strict=True))
    )
    found = {role: list(dict.fromkeys(columns[i])) for i, role in enumerate(roles) if role}
    return PathGuess(pattern + "$", found)


def _expression(values: list[str], role: str | None, varies: bool) -> str:
    if not varies and role is None:
        return re.escape(values[0]).replace(r"\-", "-").replace(r"\ ", " ")
    letters = {re.sub(r"\d+$", "", value) for value in values}
    digits = r"\d+" if any(value[-1].isdigit() for value in values) else ""
    shape = (
        re.escape(letters.pop()) + digits if len(letters) == 1 else r"[A-Za-z]+" + (r"\d*" if digits else "")
    )
    return f"(?P<{role}>{shape})" if role else shape
