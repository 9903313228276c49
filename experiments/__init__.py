"""Experiments: base.py is the recipe, and every other file states what it changes."""
