"""Does lower precision cost anything? Loss curves of one student at every precision, from the same seed.

    python benchmarks/precision.py --settings results/settings/students/get-32.json \
        --manifest results/pairs/conditional/manifest.json

Every run sees the same pairs and states in the same order, so the curves differ by rounding alone; a second
seed in float32 shows how much chance differs. Writes precision-DEVICE.csv and .png beside this file.
"""

import argparse
import tempfile
from pathlib import Path

import pandas as pd
import torch

from get.paper import style
from get.paper.style import plt
from get.runtime.device import pick_device
from get.runtime.log import logging_to
from get.storage.atomic import write_json
from get.storage.reading import read_json
from get.student.training import Inputs, train_student


def run(settings: Path, manifest: Path, precision: str, seed: int, steps: int, device: str) -> pd.Series:
    """Train and return the history of the loss."""
    wanted = read_json(settings)
    wanted["training"] |= {"precision": precision}
    with tempfile.TemporaryDirectory() as folder:
        write_json(Path(folder, "settings.json"), wanted)
        output = Path(folder, "run.pt")
        train_student(
            settings=Path(folder, "settings.json"), inputs=Inputs(manifest), seed=seed, stop=steps,
            device=device, start=None, output=output,
        )  # fmt: skip
        history = read_json(output.with_suffix(".json"))
    name = f"{precision}, seed {seed}"
    return pd.DataFrame(history["rows"], columns=history["columns"]).set_index("step")["loss"].rename(name)


def draw(curves: pd.DataFrame, path: Path) -> None:
    """Draw the losses, and what each run has more or less than float32 with seed 0."""
    figure, (upper, lower) = plt.subplots(2, sharex=True, figsize=(style.COLUMN, style.COLUMN))
    for (name, curve), dashes in zip(curves.items(), ("-", "--", ":", "-."), strict=False):
        upper.plot(curve.index, curve, dashes, label=name)
        lower.plot(curve.index, 100 * (curve / curves.iloc[:, 0] - 1), dashes)
    upper.set(ylabel="training loss")
    lower.set(xlabel="training step", ylabel="difference (%)")
    upper.legend()
    style.save(figure, [path])


def main() -> None:
    """Run as the module's text says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--settings", type=Path, required=True, help="settings file of a student")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest of its pairs")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    kind = pick_device(args.device).type
    runs = [("float32", 0), ("bfloat16", 0), *([("tf32", 0)] if kind == "cuda" else []), ("float32", 1)]
    torch.set_num_threads(1)
    with logging_to():
        found = [run(args.settings, args.manifest, *which, args.steps, args.device) for which in runs]
    curves = pd.concat(found, axis=1)
    out = Path(__file__).with_name(f"precision-{kind}")
    curves.to_csv(out.with_suffix(".csv"), float_format="%.5g")
    draw(curves, out.with_suffix(".png"))
    last = curves.iloc[-len(curves) // 4 :].mean()
    change = 100 * (last / last.iloc[0] - 1)
    print(change.map("{:+.2f}% (loss over the last quarter, to float32)".format).to_string())


if __name__ == "__main__":
    main()
