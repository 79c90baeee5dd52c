"""How a stage runs: device, processes, limits, input ahead, log, seeds."""
