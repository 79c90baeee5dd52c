"""How a stage runs: device, processes, limits of time and memory, prefetched input, log, seeds."""
