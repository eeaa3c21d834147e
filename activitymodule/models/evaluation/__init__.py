"""Evaluation: how good models are on people held out, and how well predictions agree with the truth."""
