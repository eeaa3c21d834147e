"""Train and register models: `python spark/train_activity_classifier.py --data synthetic`; as `activity train`.

Training needs no cluster: the readings are featurised file by file, and what is learned from fits one machine.
"""

from activitymodule.jobs.train import app

if __name__ == "__main__":
    app()
