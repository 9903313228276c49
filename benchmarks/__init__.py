"""Benchmarks of mrm_jax; each command prints a table of measurements."""
