"""Students for others: a folder for the hub, or a checkpoint as the paper's code reads it."""
