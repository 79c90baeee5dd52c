"""Networks that more than one stage builds from."""
