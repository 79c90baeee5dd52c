"""What studies share: comparisons, plots, samples, files."""
