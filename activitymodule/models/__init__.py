"""Activity and energy models: training, evaluation, calibration, export."""
