"""Offline preparation: raw ECG records in, shards for training out."""
