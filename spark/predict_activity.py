"""spark-submit spark/predict_activity.py [options of `activity score`]"""

from activitymodule.jobs.score import app

if __name__ == "__main__":
    app()
