"""From a configuration to checkpoints: input, losses, steps, epochs."""
