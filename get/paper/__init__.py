"""The paper's tables and figures, as pure functions of results."""

import os

# before matplotlib is imported: a notebook's, which its processes inherit, may not be importable here
os.environ["MPLBACKEND"] = "Agg"
