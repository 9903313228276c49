"""Trained networks in other formats, and from PyTorch."""
