"""The project's own errors: each names what was wrong, where, and what to do, in one sentence.

Whoever typed a command sees that sentence and the exit code of its class, never a stack trace.
"""

from __future__ import annotations


class ActivityError(Exception):
    """Anything this project reports on purpose. `exit_code` is what the command line ends with."""

    exit_code = 1


class ConfigError(ActivityError):
    """A setting, option or file name that cannot be right."""

    exit_code = 2


class ServiceUnavailableError(ActivityError):
    """A service (broker, store, registry, JDK) that is not there."""

    exit_code = 3


class DataError(ActivityError):
    """Input data that cannot be used."""

    exit_code = 4


class RefusedError(ActivityError):
    """A request that is understood and would do harm: a second scorer, unread messages gone."""

    exit_code = 5


class ModelError(ActivityError):
    """A model that is missing, does not load or does not fit."""

    exit_code = 6
