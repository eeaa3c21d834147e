"""The parent of Spark's Python workers, with what they need imported once, before it forks them.

Spark starts it in place of `pyspark.daemon` (`spark.python.daemon.module`). Otherwise every worker imports the same
libraries on its own, some seconds of processor time each, in the middle of the first batch.
"""

from __future__ import annotations

import activitymodule.streaming.worker

__all__ = ["activitymodule"]

if __name__ == "__main__":
    from pyspark.daemon import manager

    manager()
