"""Sweeps: trials, the workers that share them, and populations on one device."""
