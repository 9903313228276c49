"""Metrics of scores: ranking, classification, calibration, bootstrap intervals, tests.

NumPy and SciPy only, so that scores can be evaluated on machines without JAX.
"""
