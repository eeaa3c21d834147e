"""Reasons for doubt (uncertainty measures): one file a reason, which gives each window a number.

The number is larger where a label would be more informative.
Every module of this package is imported and registers its reason (`reason.reason`). To add one, add a file. NaN
means that a reason has no opinion of a window (nothing is known of its past, the model keeps no training
features, ...); such windows rank behind all others.
"""

from __future__ import annotations

import importlib
import pkgutil

from activitymodule.learning.doubt.reason import REASONS, Evidence, Need, Reason, all_doubts, required

__all__ = ["REASONS", "Evidence", "Need", "Reason", "all_doubts", "required"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
