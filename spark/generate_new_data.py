"""spark-submit spark/generate_new_data.py [options of `activity generate`]"""

import sys

from activitymodule.cli import main

if __name__ == "__main__":
    main(["generate", *sys.argv[1:]])
