"""Whole runs: training to a report, and evaluation of trained runs."""
