"""A trained network as a file that others run: ONNX, StableHLO, PyTorch, NumPy."""
