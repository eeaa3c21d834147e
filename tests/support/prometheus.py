"""The project's configuration of Prometheus, and the names in a PromQL expression."""

from __future__ import annotations

import re

import yaml

from activitymodule.settings import project_root

FOLDER = project_root() / "infra" / "prometheus"
RULES = yaml.safe_load((FOLDER / "rules.yml").read_text())
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule}
_KEYWORDS = {
    "by",
    "on",
    "and",
    "or",
    "unless",
    "bool",
    "group_left",
    "group_right",
    "without",
    "ignoring",
    "offset",
}


def names_in(expression: str) -> set[str]:
    """Names of figures in a PromQL expression: what is neither label, function nor word of the language."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    bare = re.sub(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)", "", bare)
    found = re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?!\s*\()\b(?!\s*\()", bare)
    return {name for name in found if name not in _KEYWORDS}
