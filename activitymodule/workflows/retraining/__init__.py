"""Retraining: from new labels to a champion that is significantly better, or to the reason why not.

    steps.py     check -> snapshot -> train -> evaluate -> gate -> promote, each safe to repeat
    run.py       all of them in one process, and the report of a run
    request.py   begin a run from a page or by REST: through Airflow, or in a process of its own
    results.py   what each step returns

What passes between the steps is in the store (`retrain_runs`) and in the lake.
"""
