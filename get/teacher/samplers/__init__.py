"""Samplers of a teacher, a module each."""
