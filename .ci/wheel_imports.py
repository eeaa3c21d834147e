"""Imports every module of the given packages: wheel_imports.py PACKAGE... Ends with 1 where one cannot be imported."""

from __future__ import annotations

import importlib
import pkgutil
import sys


def modules(package: str) -> list[str]:
    """The package and all modules below it, without programs (`__main__`)."""
    found = importlib.import_module(package)
    below = pkgutil.walk_packages(getattr(found, "__path__", []), f"{package}.")
    return [package, *(module.name for module in below if not module.name.endswith("__main__"))]


def main(packages: list[str]) -> int:
    """Prints what cannot be imported; returns the exit code."""
    failed = 0
    for package in packages:
        for name in modules(package):
            try:
                importlib.import_module(name)
            except ImportError as error:
                failed += 1
                sys.stdout.write(f"{name}: {error}\n")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
