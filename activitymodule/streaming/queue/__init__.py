"""Windows of the stream for the annotation queue: workers mark (marking), the driver selects (selection).

A worker marks a window that is complete where its audit draw is below the period's rate, and, while the driver is
collecting, the few with the greatest keys of weighted sampling. Only these travel to the driver, with readings and
features. The driver collects for the length of a window, so that every watch has had one, then selects as many as the
budget allows. While the budget is empty workers mark for the audit alone, and a batch without marks costs the driver
nothing.

Nothing is queued twice: a batch that had ended when it is run again marks nothing; one that had not has queued
nothing, for items are written in the transaction that ends it; and the store takes each window once. That transaction
runs beside the next batch (streaming/smoother), so the stream does not wait for the queue.

Late windows (streaming/backfill) are marked in the same way. The transaction that ends their round queues the audit's;
the others wait in the stream's pool for its next selection (QueueSelector.for_late).
"""
