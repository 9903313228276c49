"""Export of trained networks to other formats, and import from PyTorch."""
