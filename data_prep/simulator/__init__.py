"""Simulated ECGs: rhythm, waves, noise and diagnoses."""
