"""Scores of images: features, reference statistics, FID, IS, KID, precision and recall."""
