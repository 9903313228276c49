"""MRM-Net: multi-resolution mutual learning for multi-label ECG classification."""
