"""Whole runs: training one to its report, and evaluating those that exist."""
