"""The EDM diffusion teacher: network, sampler, training, and the pairs it writes."""
