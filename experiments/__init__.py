"""Experiments: base.py is the recipe, every other file says what differs and why."""
