"""Sweeps: an experiment each, and what varies around it."""
