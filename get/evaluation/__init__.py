"""Features, scores and costs of samples, whoever made them."""
