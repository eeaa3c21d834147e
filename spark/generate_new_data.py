"""spark-submit spark/generate_new_data.py [options of `activity generate`]"""

from activitymodule.jobs.generate import app

if __name__ == "__main__":
    app()
