DROP VIEW daily_wear, daily_trends, daily_activities, daily_records_merged;
DROP TABLE daily_records;
