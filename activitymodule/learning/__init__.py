"""Active learning and retraining: uncertainty, queue policy, training sets, the gate."""
