"""Pairs (noise, label, image): the only thing that passes from teacher to student."""
