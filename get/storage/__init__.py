"""Files: errors for people, whole or absent files, locks, hashes, checked reading, HDF5, weights."""
