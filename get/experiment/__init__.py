"""An experiment: its typed config, and all that follows from it. It needs neither torch nor Snakemake."""

from get.experiment.config.errors import ConfigError
from get.experiment.experiment import Experiment
from get.experiment.loading import load

__all__ = ["ConfigError", "Experiment", "load"]
