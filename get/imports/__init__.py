"""Other people's files: EDM's teachers, published students and pair sets, read without running code."""
