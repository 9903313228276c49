"""Sweeps: each file defines an experiment and its search space."""
