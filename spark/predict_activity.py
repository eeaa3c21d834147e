"""spark-submit spark/predict_activity.py [options of `activity score`]"""

import sys

from activitymodule.cli import main

if __name__ == "__main__":
    main(["score", *sys.argv[1:]])
