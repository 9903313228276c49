"""Figures of ECGs and of results, by Matplotlib."""
