"""spark-submit spark/run_verb.py VERB [options of `activity VERB`]; jobs of `activity cloud run` begin with it."""

import sys

from activitymodule.cli import main

if __name__ == "__main__":
    main(sys.argv[1:])
