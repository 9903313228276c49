"""The network: Flax linen modules, from layers to MRMNet."""
