"""Reports: exports, figures and metrics from daily records and the models trained on them."""
