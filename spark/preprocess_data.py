"""spark-submit spark/preprocess_data.py SOURCE PATH [options of `activity prepare`]"""

import sys

from activitymodule.cli import main

if __name__ == "__main__":
    main(["prepare", *sys.argv[1:]])
