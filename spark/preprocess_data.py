"""spark-submit spark/preprocess_data.py SOURCE PATH [options of `activity prepare`]"""

from activitymodule.jobs.prepare import app

if __name__ == "__main__":
    app()
