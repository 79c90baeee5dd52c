"""Samples: one evaluation of a student, sample files, and comparisons on the same noise."""
