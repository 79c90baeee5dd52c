"""Draw the diagrams of the documentation: `python docs/diagrams.py` writes the four beside it."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

import get
from get.paper.style import DPI, PAGE, plt

plt.rcParams["text.parse_math"] = True
HERE = Path(__file__).parent
INK, BLUE, ORANGE, GREEN, GREY = "0.15", "#0072B2", "#D55E00", "#009E73", "0.45"
Point = tuple[float, float]


def canvas(width: float, height: float) -> Axes:
    """Return empty axes of so many units, of which 10 are an inch."""
    figure = plt.figure(figsize=(width / 10, height / 10))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    axes.set_axis_off()
    return axes


def box(axes: Axes, left: float, low: float, wide: float, high: float, text: str, colour: str = INK) -> None:
    """Draw a box; the first line of its text is bold."""
    shape = FancyBboxPatch(
        (left, low), wide, high, boxstyle="round,pad=0,rounding_size=0.6",
        facecolor="white", edgecolor=colour, linewidth=1,
    )  # fmt: skip
    axes.add_patch(shape)
    head, _, rest = text.partition("\n")
    middle, lines = left + wide / 2, rest.count("\n") + 1 if rest else 0
    top = low + high / 2 + 0.62 * lines
    axes.text(middle, top, head, ha="center", va="center", color=colour, weight="bold")
    if rest:
        axes.text(middle, top - 0.85, rest, ha="center", va="top", color=INK, fontsize=6, linespacing=1.25)


def arrow(axes: Axes, start: Point, end: Point, colour: str = INK, bend: float = 0.0) -> None:
    """Draw an arrow, bent to the left by a share of its length."""
    line: dict[str, Any] = {"color": colour, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
    style = f"arc3,rad={-bend}"
    axes.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=7, connectionstyle=style, **line)
    )


def note(axes: Axes, x: float, y: float, text: str, colour: str = GREY, ha: str = "center") -> None:
    """Write a remark."""
    axes.text(x, y, text, ha=ha, va="center", color=colour, fontsize=6, linespacing=1.25)


def save(axes: Axes, name: str) -> None:
    """Write the picture beside this file."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.savefig(HERE / name, dpi=DPI)
    plt.close("all")


def model() -> None:
    """GET: what is computed once, what again and again, and what the loss looks at."""
    axes = canvas(10 * PAGE, 27)
    box(axes, 0.5, 15, 9, 5, "noise e\n(C, H, W)")
    box(axes, 12, 15, 10.5, 5, "patches\nlinear + positions\ntokens h (N, D)", BLUE)
    box(axes, 25, 15, 12.5, 5, "injection transformer\n$L_i$ blocks, once", BLUE)
    box(axes, 0.5, 5, 9, 5, "class y\none table, (3D)")
    box(axes, 25, 5, 12.5, 5, "injection\none linear layer, no bias\n$n_l$ (N, 3D) for each block $l$", BLUE)
    box(axes, 41, 12.5, 14, 10, "equilibrium transformer\n$L_e$ blocks, the same weights\n"
        "each time:\nq, k, v = LN(z) W + b + $u_l$\n$u_l = n_l + c$", ORANGE)  # fmt: skip
    box(axes, 43.5, 2.5, 9, 5, "state $z_0$\n~ N(0, I), (N, D)")
    box(axes, 58, 15, 9, 5, "decoder\nLN, linear\nimage (C, H, W)", GREEN)
    for start, end in (((9.5, 17.5), (12, 17.5)), ((22.5, 17.5), (25, 17.5)), ((31.2, 15), (31.2, 10))):
        arrow(axes, start, end)
    arrow(axes, (37.5, 8.5), (41, 13.8))
    arrow(axes, (48, 7.5), (48, 12.5))
    arrow(axes, (55, 17.5), (58, 17.5))
    # the loop
    arrow(axes, (53.5, 22.5), (42.5, 22.5), ORANGE, bend=-0.28)
    note(axes, 48, 25.3, "z ← f(z, u), six times: $z_1, ..., z_6$", ORANGE)
    # the class
    axes.plot([9.5, 22, 22], [7.5, 7.5, 13], color=INK, linewidth=0.9)
    arrow(axes, (22, 13), (26.5, 15))
    arrow(axes, (22, 7.5), (25, 7.5))
    note(axes, 17.2, 5.3, "c is added to q, k, v\nof every block", INK)
    note(axes, 62, 13.2, "training: all six are decoded;")
    note(axes, 62, 11.6, "the loss is the sum over i of")
    note(axes, 62, 9.9, "$0.8^{6-i}$ mean$|x_i - x|$,", INK)
    note(axes, 62, 8.2, "x being the teacher's image")
    note(axes, 62, 21.9, "sampling: the state after\nthe smallest step is decoded")
    save(axes, "model.png")


def workflow() -> None:
    """The stages, their files, and the rules between them."""
    axes = canvas(10 * PAGE, 24)
    boxes = {
        "data": (0.5, 16, "real images\nimages.h5", INK),
        "teacher": (14, 16, "teacher\nEDM network\nNAME.safetensors", BLUE),
        "pairs": (27.5, 16, "pairs\n(noise, class, image)\nHDF5 shards, manifest", BLUE),
        "student": (41, 16, "students\nGET, ViT; each milestone\nSTEP.safetensors", ORANGE),
        "samples": (54.5, 16, "samples\none evaluation each\nSTEP.h5", ORANGE),
        "features": (0.5, 3, "features\nclassifier or Inception\n+ moments of both splits", INK),
        "costs": (27.5, 3, "costs\nparameters, MACs,\ntime, memory", GREEN),
        "scores": (54.5, 3, "scores\nFID, IS, KID, precision,\nrecall, how sure", GREEN),
        "paper": (41, 3, "the paper\nTables 1-6, Figures 2-4,\na verdict on each claim", GREEN),
    }
    for left, low, text, colour in boxes.values():
        box(axes, left, low, 12, 5.6, text, colour)
    rules = {14: "train", 27.5: "sample, 18 steps", 41: "distil", 54.5: "sample"}
    for left, rule in rules.items():
        arrow(axes, (left - 1.5, 18.8), (left, 18.8))
        note(axes, left - 0.75, 22.6, rule)
    arrow(axes, (6.5, 16), (6.5, 8.6))
    arrow(axes, (60.5, 16), (60.5, 8.6))
    arrow(axes, (54.5, 5.8), (53, 5.8))
    arrow(axes, (39.5, 5.8), (41, 5.8))
    axes.plot([12.5, 20, 20], [5.8, 5.8, 1.2], color=INK, linewidth=0.9)
    axes.plot([20, 60.5], [1.2, 1.2], color=INK, linewidth=0.9)
    arrow(axes, (60.5, 1.2), (60.5, 3))
    note(axes, 33.5, 12.8, "each arrow is a rule that calls one function of the package,")
    note(axes, 33.5, 11.2, "each box is files, with their SHA-256 beside them")
    save(axes, "workflow.png")


def path(share: float) -> Point:
    """Return a point of the teacher's path, in a panel of `methods`: from noise (share 0) to image (1)."""
    return 1 + 10 * share, 4 + 6 * share**2 * (3 - 2 * share)


def panel(axes: Axes, left: float, title: str, text: str) -> None:
    """Draw the teacher's path from noise to image, with a title above it and lines below."""
    shares = [number / 50 for number in range(51)]
    axes.plot(*zip(*((left + x, y) for x, y in map(path, shares)), strict=True), color="0.75", linewidth=1.5)
    for share, name in ((0, "noise e"), (1, "image x")):
        x, y = path(share)
        axes.plot(left + x, y, "o", color=INK, markersize=4)
        note(axes, left + x, y + (1.3 if share else -1.3), name, INK)
    axes.text(left + 6, 13.3, title, ha="center", va="center", color=INK, weight="bold")
    note(axes, left + 6, 0.4, text, INK)


def methods() -> None:
    """What the one-step methods learn, beside the teacher's path from noise to image."""
    axes, wide = canvas(10 * PAGE, 16), 2 * PAGE
    axes.set_ylim(-1.4, 14.6)

    def at(number: int, point: Point) -> Point:
        return number * wide + 0.6 + point[0], point[1]

    def mark(number: int, point: Point, text: str, below: float = -1.2) -> None:
        x, y = at(number, point)
        axes.plot(x, y, "o", color=BLUE, markersize=4)
        note(axes, x, y + below, text, BLUE)

    noise, image, high, low = path(0), path(1), path(0.42), path(0.62)
    texts = {
        "regression, KD": "of x on e:\nthe path is made before",
        "reflow": "of velocities on x - e;\nthen of the whole step",
        "CD": "from both points one image;\nthe teacher makes the step",
        "CT, ECT": "from both points one image;\nthe same noise, less of it",
        "PD": "one step learns two;\nthen it is the teacher",
    }
    for number, (title, text) in enumerate(texts.items()):
        panel(axes, number * wide + 0.6, title, text)
    # Regression: one arrow. Reflow: along the straight line
    arrow(axes, at(0, noise), at(0, image), ORANGE)
    across, up = image[0] - noise[0], image[1] - noise[1]
    for share in (0.0, 0.34, 0.68):
        start, end = ((noise[0] + across * s, noise[1] + up * s) for s in (share, share + 0.3))
        arrow(axes, at(1, start), at(1, end), ORANGE)
    # Consistency: from two points, of which the lower is the teacher's or has the same noise
    for number, lower in ((2, low), (3, (low[0], low[1] - 1.6))):
        arrow(axes, at(number, high), at(number, lower), BLUE)
        arrow(axes, at(number, high), at(number, image), ORANGE, bend=0.45)
        arrow(axes, at(number, lower), at(number, image), ORANGE, bend=-0.3)
        mark(number, high, "$x_s$")
        mark(number, lower, "$x_r$")
    # Progressive: one step for two
    for start, end in ((0.15, 0.45), (0.45, 0.75)):
        arrow(axes, at(4, path(start)), at(4, path(end)), BLUE)
    arrow(axes, at(4, path(0.15)), at(4, path(0.75)), ORANGE, bend=0.5)
    for share in (0.15, 0.45, 0.75):
        mark(4, path(share), "")
    save(axes, "methods.png")


def film() -> None:
    """The image of each fixed-point iteration of GET-48, and the residual below it."""
    digits, side, gap = (3, 5), 6, 1.2
    student = get.load("digits/get-48", "cpu")
    found = student.trajectory(digits, label=digits)
    wide = gap + student.iterations * (side + gap)
    axes = canvas(wide, len(digits) * (side + 2.4) + 2.6)
    for row in range(len(digits)):
        low = (len(digits) - 1 - row) * (side + 2.4) + 2.6
        for k in range(student.iterations):
            left = gap + k * (side + gap)
            axes.imshow(
                found.images[k, row, ..., 0], cmap="gray", vmin=0, vmax=255,
                extent=(left, left + side, low, low + side),
            )  # fmt: skip
            note(axes, left + side / 2, low - 0.8, f"{found.residuals[k, row]:.0f}", INK)
            if row == 0:
                note(axes, left + side / 2, low + side + 0.9, f"iteration {k + 1}", INK)
    axes.set(xlim=(0, wide), ylim=(0, len(digits) * (side + 2.4) + 2.6))
    note(axes, wide / 2, 0.7, "below each image: how far one more application moves the state, ||f(z) - z||")
    save(axes, "film.png")


if __name__ == "__main__":
    model()
    workflow()
    methods()
    film()
