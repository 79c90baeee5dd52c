"""What students cost, measured; and what a whole experiment will take."""
