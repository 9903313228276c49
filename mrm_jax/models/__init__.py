"""Networks as Flax linen modules, and the layers they are built from."""
