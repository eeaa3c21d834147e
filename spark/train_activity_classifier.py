"""Train and register models: `python spark/train_activity_classifier.py --data synthetic`; as `activity train`.

Training needs no cluster: the readings are featurised file by file, and what is learned from fits one machine.
"""

import sys

from activitymodule.cli import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
