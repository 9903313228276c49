"""Scores to numbers: metrics, intervals, calibration, tests. NumPy only."""
