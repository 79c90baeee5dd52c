"""Steps of equal cost: how long each method trains with the operations of a reference's training.

A config says steps, for the jobs must be known before anything is counted; this says which.
"""

from pathlib import Path

import pandas as pd

from get.costs.measure import operations
from get.runtime.log import log
from get.storage.atomic import write_text
from get.storage.reading import read_json, reading

WITHIN = 0.02  # of the reference's operations: steps are whole numbers
COLUMNS = {
    "method": "Method",
    "flops": "FLOP an image",
    "batch": "Batch",
    "steps": "Steps",
    "share": "Budget",
    "equal": "Steps of equal operations",
}


def budgets(settings: str | Path) -> pd.DataFrame:
    """Return for each method its steps, the share of the reference's operations, and the steps of equal ones.

    Args:
        settings: JSON: `reference`, and under `methods` by name `steps` and what decides the costs
            (see `costs.measure.measure_costs`).

    Raises:
        UserError: the file is damaged.
    """
    with reading(settings, "settings file of budgets"):
        content = read_json(settings)
        reference, methods = content["reference"], content["methods"]
        rows = [
            {
                "method": name,
                "flops": operations(method["model"], method["training"], method.get("teacher"))[
                    "training_flops"
                ],
                "batch": method["training"]["batch"],
                "steps": method["steps"],
            }
            for name, method in methods.items()
        ]
    table = pd.DataFrame(rows)
    step = table["flops"].astype(float) * table["batch"]  # more than 64 bits hold, in whole trainings
    whole = (step * table["steps"])[table["method"] == reference].item()
    return table.assign(share=step * table["steps"] / whole, equal=(whole / step).round().astype(int))


def write_budgets(settings: str | Path, output: str | Path) -> None:
    """Write the table of `budgets` as Markdown, and below it which methods train for longer or shorter."""
    table = budgets(settings)
    others = table[(table["share"] - 1).abs() > WITHIN]
    text = "The steps of all methods take the operations of the reference's."
    if len(others):
        text = "Other steps than those of equal operations: " + ", ".join(others["method"]) + "."
    shown = table.rename(columns=COLUMNS).to_markdown(index=False, floatfmt=",.4g", intfmt=",")
    log.info("%s", text)
    write_text(output, f"{shown}\n\n{text}\n")
