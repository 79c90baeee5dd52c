"""Students: one-step generators trained offline on (noise, image) pairs."""
