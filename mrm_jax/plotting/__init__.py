"""Figures of ECGs and of results, drawn with Matplotlib."""
