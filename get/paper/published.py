"""Published numbers, each with its source: `published.csv`."""

from pathlib import Path

import pandas as pd


def published(table: str) -> pd.DataFrame:
    """Return the published rows of `table` (say 'paper table 1'): method, nfe, fid, is, source, ..."""
    rows = pd.read_csv(Path(__file__).with_name("published.csv"))
    return rows[rows["table"] == table].reset_index(drop=True)
