"""Training of a run: input pipeline, losses, steps, epochs and checkpoints."""
