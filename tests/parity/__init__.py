"""Parity with PyTorch: the same quantities by name, computed by both."""
