"""ECGs from files, and shards of prepared records. NumPy only, no JAX."""
