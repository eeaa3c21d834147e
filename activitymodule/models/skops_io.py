"""skops.io, imported in a fraction of the time.

skops imports every module of sklearn and looks through it for estimators that it trusts by itself: most of a second in
each process that loads a model. Here it finds none; what a model file may hold is all in models/export.
It also asks every module that is imported for the names of SciPy's functions. Modules that warn of names they had
before, as Airflow's, would answer with thousands of warnings in the log of each task.
"""

from __future__ import annotations

import warnings

import sklearn.utils

_every = sklearn.utils.all_estimators
sklearn.utils.all_estimators = list
try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from skops.io import dumps, get_untrusted_types, loads
finally:
    sklearn.utils.all_estimators = _every

__all__ = ["dumps", "get_untrusted_types", "loads"]
