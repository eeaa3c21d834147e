DROP FUNCTION analyse_new_prediction_days();
