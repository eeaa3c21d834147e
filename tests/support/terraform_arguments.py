"""What Terraform's resources take: tests/infra/terraform_arguments.json, made of the published CDKTF bindings.

    python tests/support/terraform_arguments.py FOLDER...

Each folder is that of an unpacked package, such as cdktf_cdktf_provider_aws. Of the types that infra/terraform uses the
arguments and blocks are kept, whether they are required, and what can be referred to.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FILE = ROOT / "tests" / "infra" / "terraform_arguments.json"
_USED = re.compile(r'^(resource|data) "(\w+)"', re.M)
_CLASS = re.compile(r"docs/(resources|data-sources)/\w+ (\w+)\}")
_PARAM = re.compile(r":param (\w+): (?:(\w+) block\.)?(.*?)(?=\n\s*:param|\Z)", re.S)
_NAME = re.compile(r"#(\w+) \w+#\w+\}")
_META = {
    "scope",
    "id_",
    "connection",
    "count",
    "depends_on",
    "for_each",
    "lifecycle",
    "provider",
    "provisioners",
}


def used() -> set[tuple[str, str]]:
    """(resource or data, type) of infra/terraform."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / "infra" / "terraform").rglob("*.tf")))
    return set(_USED.findall(text))


def taken(name: str, classes: dict[str, ast.ClassDef]) -> dict[str, Any]:
    """Arguments (name -> required) and blocks (name -> the same of the block, and whether it is required)."""
    begin = next(
        (one for one in classes[name].body if isinstance(one, ast.FunctionDef) and one.name == "__init__"),
        None,
    )
    if begin is None:
        return {"arguments": {}, "blocks": {}}
    words = _PARAM.findall(ast.get_docstring(begin) or "")
    arguments: dict[str, bool] = {}
    blocks: dict[str, Any] = {}
    documented = {param: (block, text) for param, block, text in words}
    for one, default in zip(begin.args.kwonlyargs, begin.args.kw_defaults, strict=True):
        if one.arg in _META:
            continue
        block, text = documented.get(one.arg, ("", ""))
        found = _NAME.search(text)
        own = found[1] if found else one.arg.rstrip("_")
        inner = [
            part
            for part in re.findall(r"\w+", ast.unparse(one.annotation or ast.Constant(0)))
            if part in classes
        ]
        if block and inner:
            blocks[own] = {"required": default is None, **taken(inner[0], classes)}
        else:
            arguments[own] = default is None
    return {"arguments": arguments, "blocks": blocks}


def main() -> None:
    """Write the file."""
    wanted, found = used(), {}
    for folder in map(Path, sys.argv[1:]):
        for path in sorted(folder.glob("*/__init__.py")):
            tree = ast.parse(path.read_text())
            classes = {one.name: one for one in tree.body if isinstance(one, ast.ClassDef)}
            for one in classes.values():
                kind = _CLASS.search(ast.get_docstring(one) or "")
                key = ("resource" if kind[1] == "resources" else "data", kind[2]) if kind else ("", "")
                if key in wanted and key not in found and not one.name.endswith("Config"):
                    exports = sorted(
                        part.name
                        for part in one.body
                        if isinstance(part, ast.FunctionDef)
                        and any(
                            ast.unparse(word) in ("property", "builtins.property")
                            for word in part.decorator_list
                        )
                        and not part.name.endswith("_input")
                    )
                    of_type = taken(one.name, classes)
                    found[key] = of_type | {
                        "exports": [name for name in exports if name not in of_type["arguments"]]
                    }
    missing = wanted - set(found)
    if missing:
        raise SystemExit(f"no package has {sorted(missing)}")
    lines = [
        f"{json.dumps(f'{kind} {name}')}: {json.dumps(found[kind, name], separators=(',', ':'))}"
        for kind, name in sorted(found)
    ]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
