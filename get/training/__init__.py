"""The one training loop, its state, its optimiser and its journal."""
