"""Errors for people, and files: atomic writing, locks, hashes, checked reading, HDF5, weights, pickles."""
