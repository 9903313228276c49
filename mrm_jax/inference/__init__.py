"""Predictions and explanations of ECGs by a trained run."""
