"""Figures: plots, and grids of images."""

from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from fabricate_results import NAN, VIT, row, run
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from sklearn.isotonic import isotonic_regression

from get.paper import figures, grids, style
from get.paper.naming import distance_called
from get.paper.results import Curve, History, Row
from get.storage.mosaic import tile, write_grid


def members() -> list[Row]:
    """Two GETs at two milestones with two seeds, and a ViT with one."""
    rows = []
    for size, label in ((1000, "GET-1"), (4000, "GET-4")):
        for step in (1000, 2000):
            change = {"step": step, "parameters": size}
            fid = 4e7 / size / step
            rows.append(row(label, run(fid, **change), run(1.2 * fid, **change)))
    return [*rows, row("ViT-2", run(9.0, VIT, parameters=2000))]


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("name", figures.FIGURES)
@pytest.mark.parametrize(
    "rows",
    [
        [],
        [row("GET", run(10.0))],
        [row("GET", run(10.0), run(11.0)), row("ViT", run(NAN, VIT))],
        [row("missing"), row("ViT", run(8.0, VIT))],
        [row("GET", run(5.0)), row("GET", run(9.0, conditional=False))],
        [row("GET", run(5.0), costs=None)],
    ],
    ids=["none", "one", "nan", "missing", "both kinds", "no costs"],
)
@pytest.mark.slow
def test_every_figure_of_anything(name: str, rows: list[Row], tmp_path: Path) -> None:
    paths = [tmp_path / "f.pdf", tmp_path / "f.png"]
    figures.FIGURES[name](rows, paths)
    content = paths[0].read_bytes()
    assert content.startswith(b"%PDF")
    assert b"/FontFile2" in content  # fonts are embedded
    assert matplotlib.image.imread(paths[1]).shape[1] > 500


def test_figure2a_has_a_curve_per_student_with_error_bars(drawn: list[Figure], tmp_path: Path) -> None:
    figures.figure2a(members(), [tmp_path / "f.png"])
    (axes,) = drawn[0].axes
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert {"GET-1", "GET-4", "ViT-2"} == set(texts(axes))
    curve, *_ = axes.containers
    np.testing.assert_allclose(curve.lines[0].get_xdata(), [1000, 2000])
    np.testing.assert_allclose(curve.lines[0].get_ydata(), [44, 22])
    ends = curve.lines[2][0].get_segments()[0][:, 1]
    np.testing.assert_allclose(ends, [44 - 8 / 2**0.5, 44 + 8 / 2**0.5])  # one standard deviation


def test_figure2a_has_its_ticks_at_the_milestones(drawn: list[Figure], tmp_path: Path) -> None:
    steps = (700, 1500, 3900, 4000)
    figures.figure2a([row("GET", run(1e4 / step, step=step)) for step in steps], [tmp_path / "f.png"])
    axis = drawn[0].axes[0].xaxis
    assert sorted(axis.get_majorticklocs()) == [700, 1500, 4000]  # two labels would touch
    assert [text.get_text() for text in axis.get_ticklabels()] == ["4000", "1500", "700"]
    assert 3900 in axis.get_minorticklocs()


def test_figure2b_has_a_curve_per_number_of_steps(drawn: list[Figure], tmp_path: Path) -> None:
    figures.figure2b(members(), [tmp_path / "f.png"])
    (axes,) = drawn[0].axes
    assert set(texts(axes)) == {"GET, 1,000 steps", "GET, 2,000 steps"}
    np.testing.assert_allclose(axes.containers[0].lines[0].get_xdata(), [1000, 4000])


def test_figure3a_has_circles_by_size(drawn: list[Figure], tmp_path: Path) -> None:
    rows = [row("GET", run(10.0, parameters=4000)), row("ViT", run(9.0, VIT, parameters=1000))]
    figures.figure3a(rows, [tmp_path / "f.png"])
    (axes,) = drawn[0].axes
    assert {"1", "2", "6", "10", "GET", "ViT"} == set(texts(axes))
    circles = [found for found in axes.collections if isinstance(found, PathCollection)]
    get, vit = (found.get_sizes()[0] - figures.SMALLEST for found in circles)
    assert get == pytest.approx(4 * vit)
    assert all(circle.get_facecolor()[0][3] < 1 for circle in circles)  # what lies below shows through
    bars = [container.lines[2][0] for container in axes.containers]
    numbers = [text for text in axes.texts if text.get_text().isdigit()]
    assert max(c.get_zorder() for c in circles) < min(b.get_zorder() for b in bars)
    assert max(b.get_zorder() for b in bars) < min(n.get_zorder() for n in numbers)
    assert "CPU, 1 thread" in axes.get_xlabel()
    # a student of one time has its name to the left of its circle, within the axes
    drawn[0].draw_without_rendering()
    name = next(text for text in axes.texts if text.get_text() == "ViT").get_window_extent()
    circle, _ = axes.transData.transform(circles[1].get_offsets()[0])
    assert axes.get_window_extent().x0 < name.x0 < name.x1 < circle


def test_figure3b_is_over_compute(drawn: list[Figure], tmp_path: Path) -> None:
    figures.figure3b(members(), [tmp_path / "f.png"])
    (axes,) = drawn[0].axes
    np.testing.assert_allclose(axes.containers[0].lines[0].get_xdata(), [1.152, 2.304])
    assert axes.get_xlabel() == "training compute in TFLOP"


def test_residuals_have_both_panels(drawn: list[Figure], tmp_path: Path) -> None:
    figures.residuals([row("GET", run(1.0)), row("ViT", run(1.0, VIT))], [tmp_path / "f.png"])
    state, image = drawn[0].axes
    np.testing.assert_allclose(state.containers[0].lines[0].get_xdata(), [0, 1, 2])
    np.testing.assert_allclose(image.containers[0].lines[0].get_ydata(), [0.5, 0.1])
    assert texts(state) == ["GET"]


def test_training_curves_are_means_over_seeds(drawn: list[Figure], tmp_path: Path) -> None:
    def history(*rows: tuple[int, float, float]) -> History:
        return History(columns=("step", "loss", "gradient norm"), rows=list(rows))

    runs = [history((50, value, 1.0), (100, value / 2, 1.0)) for value in (1.0, 3.0)]
    curves = [Curve("GET", "get", False, runs), Curve("GET", "vit", False, runs)]
    figures.training_curves([*curves, Curve("none", "get", False, [history()])], [tmp_path / "f.png"])
    get, _ = drawn[0].axes
    np.testing.assert_allclose(get.lines[0].get_ydata(), [2.0, 1.0])
    assert texts(get) == ["GET*"]
    assert {50, 100} <= set(get.get_xticks())
    assert min(get.get_xlim()) > 30  # ticks stay in the plot
    figures.training_curves([], [tmp_path / "f.png"])


def histories(last: float = 1.0) -> list[History]:
    return [History(columns=("step", "loss", "gradient norm"), rows=[(50, 2 * last, 1.0), (100, last, 1.0)])]


def test_shades_are_told_apart_in_grey() -> None:
    greys = [np.dot(to_rgb(shade), (0.299, 0.587, 0.114)) for shade in style.shades("get", 5)]
    assert np.diff(greys).min() > 0.05


def test_training_curves_say_their_loss(drawn: list[Figure], tmp_path: Path) -> None:
    """One loss stands on the axis; of several, those other than L1 stand beside their curves, once."""
    usual, lpips = Curve("GET", "get", True, histories()), Curve("GET", "get", False, histories(), "LPIPS")
    named = replace(lpips, label="GET, LPIPS")
    for curves in ([usual], [lpips, lpips], [usual, lpips, named]):
        figures.training_curves(curves, [tmp_path / "f.png"])
    found = [(figure.axes[0].get_ylabel(), texts(figure.axes[0])) for figure in drawn]
    assert found == [
        ("L1 loss (pixels in [-1, 1])", ["GET"]),
        ("LPIPS loss (pixels in [-1, 1])", ["GET*", "GET*"]),
        ("loss (pixels in [-1, 1])", ["GET", "GET (LPIPS)*", "GET, LPIPS*"]),
    ]


def test_training_curves_of_other_objectives_have_panels_of_their_own(
    drawn: list[Figure], tmp_path: Path
) -> None:
    kinds = [("L1", "pairs"), ("L2", "reflow"), ("pseudo-Huber", "consistency"), ("L2", "progressive")]
    curves = [Curve(name, "unet", True, histories(), loss, name) for loss, name in kinds]
    figures.training_curves([Curve("GET", "get", True, histories()), *curves], [tmp_path / "f.png"])
    assert [(axes.get_title(), axes.get_ylabel(), texts(axes)) for axes in drawn[0].axes] == [
        ("GET: weighted sum over all states", "L1 loss (pixels in [-1, 1])", ["GET"]),
        ("U-Net", "L1 loss (pixels in [-1, 1])", ["pairs"]),
        ("U-Net: reflow", "L2 loss", ["reflow"]),
        ("U-Net: consistency", "pseudo-Huber loss", ["consistency"]),
        ("U-Net: progressive", "L2 loss", ["progressive"]),
    ]
    # Two side by side, three rows
    places = [axes.get_position() for axes in drawn[0].axes]
    assert len({round(place.x0, 2) for place in places}) == 2
    assert len({round(place.y0, 2) for place in places}) == 3


def test_labels_do_not_touch(tmp_path: Path) -> None:
    figure, (axes,) = style.panels(1)
    axes.plot([1, 2], [1, 2])
    style.label_lines(axes, [(2, 1 + 0.01 * i, f"label {i}", "black") for i in range(8)])
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the leading lines
    assert all(upper.y0 > lower.y1 for lower, upper in pairwise(boxes))
    style.save(figure, [tmp_path / "f.png"])


def test_lines_end_at_their_own_labels(tmp_path: Path) -> None:
    """Every line ends at the height of its text, and none crosses another, even to a point further right."""
    figure, (axes,) = style.panels(1)
    axes.plot([1, 4], [1, 10])
    points = [(2.0, 5.2), (4.0, 5.0), *[(2.0, y) for y in (4.95, 4.6, 4.5, 4.4, 4.3, 4.2)], (4.0, 4.0)]
    style.label_lines(axes, [(x, y, f"label {i}", "black") for i, (x, y) in enumerate(points)])
    figure.draw_without_rendering()
    lines = []
    for text in axes.texts:
        assert isinstance(text, Annotation)
        assert text.arrow_patch is not None
        box = Text.get_window_extent(text)
        ends = text.arrow_patch.get_transform().transform_path(text.arrow_patch.get_path()).vertices
        begin, *_, point = sorted(np.asarray(ends).tolist(), reverse=True)
        assert np.hypot(begin[0] - box.x0, begin[1] - (box.y0 + box.y1) / 2) < 2  # pixels
        lines.append((begin, point))
    for (a, b), (c, d) in combinations(lines, 2):
        x = max(b[0], d[0])  # where both have begun
        heights = [np.interp(x, [p[0], q[0]], [p[1], q[1]]) for q, p in ((a, b), (c, d))]
        assert (heights[0] - heights[1]) * (a[1] - c[1]) > 0
    style.save(figure, [tmp_path / "f.png"])


def test_labels_move_no_more_than_it_must() -> None:
    np.testing.assert_allclose(style.move_apart(np.array([1.0, 5.0]), 2, 0, 9), [1, 5])
    np.testing.assert_allclose(style.move_apart(np.array([4.0, 4.0, 4.0]), 2, 0, 9), [2, 4, 6])
    np.testing.assert_allclose(style.move_apart(np.array([0.0, 9.0, 9.0]), 2, 0, 9), [0, 7, 9])
    for seed in range(20):
        wanted = np.sort(np.random.default_rng(seed).normal(0, 5, seed % 7 + 1))
        pile = 2 * np.arange(len(wanted))
        nearest = isotonic_regression(wanted - pile) + pile
        np.testing.assert_allclose(style.move_apart(wanted, 2, -99, 99), nearest)


# ---------- grids of images


def test_tile_keeps_every_pixel() -> None:
    images = np.arange(5 * 3 * 2 * 2, dtype=np.uint8).reshape(5, 3, 2, 2)
    picture = tile(images, 3)
    assert picture.shape == (5, 8, 3)
    np.testing.assert_array_equal(picture[3:5, 3:5], images[4].transpose(1, 2, 0))
    assert (picture[2] == 255).all()
    assert (picture[:, 2] == 255).all()


def test_grid_png_is_exact(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 1, 8, 8), dtype=np.uint8)
    write_grid(tmp_path / "grid.png", images)
    picture = np.rint(matplotlib.image.imread(tmp_path / "grid.png")[..., :3] * 255).astype(np.uint8)
    assert picture.shape == (17 * 8, 17 * 8, 3)
    np.testing.assert_array_equal(picture[:64:8, :64:8, 0], images[0, 0])


@pytest.mark.parametrize("count", [200, 57])
def test_figure4b_has_a_row_per_class(
    count: int, drawn: list[Figure], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images whose grey is their class: each row of the drawn mosaic has one grey."""
    labels = np.arange(count) % 10
    images = np.broadcast_to(20 * labels[:, None, None, None], (count, 1, 8, 8)).astype(np.uint8)
    kept = []
    monkeypatch.setattr(grids, "tile", lambda *args: kept.append(tile(*args)) or kept[-1])
    paths = [tmp_path / "b.pdf", tmp_path / "b.png"]
    grids.figure4b(images, labels, "title", paths)
    assert not any(grid.get_visible() for grid in drawn[0].axes[0].get_ygridlines())
    for position in range(10):
        assert set(kept[0][9 * position, :, 0].tolist()) == {20 * position, 255}
    assert paths[0].read_bytes().startswith(b"%PDF")
    assert matplotlib.image.imread(paths[1]).shape[1] > 500


def test_figure4a(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (130, 1, 8, 8), dtype=np.uint8)
    paths = [tmp_path / "a.pdf", tmp_path / "a.png"]
    grids.figure4a(images, "title", paths)
    assert paths[0].read_bytes().startswith(b"%PDF")
    assert matplotlib.image.imread(paths[1]).shape[1] > 500


@pytest.mark.parametrize("channels", [1, 3])
def test_same_noise_has_a_column_for_each_and_two_rows(
    channels: int, drawn: list[Figure], tmp_path: Path
) -> None:
    teacher = np.zeros((2, channels, 8, 8), np.uint8)
    students = [("GET", teacher + np.uint8(51)), ("GET", teacher + np.uint8(255)), ("ViT (x)", teacher)]
    noise = np.zeros(teacher.shape, np.float32)
    grids.same_noise(noise, teacher, students, np.array([3, 4]), [tmp_path / "f.png"])
    axes, scale = drawn[0].axes
    names = [text.get_text() for text in axes.get_xticklabels()]
    assert names == ["noise", "teacher", "GET", "GET", "ViT\n(x)"]
    assert {text.get_text() for text in axes.get_yticklabels()} == {"class 3", "class 4", "|difference|"}
    assert scale.get_ylim() == (0, 1)  # 255 is the whole range
    picture = axes.images[0].get_array()
    assert picture is not None
    dark = [picture[9 + 4, column * 9 + 4].mean() for column in (2, 3, 4)]  # of the first differences
    assert dark[1] < dark[0] < dark[2]


def test_classes_have_their_names(drawn: list[Figure], tmp_path: Path) -> None:
    images, labels = np.zeros((4, 3, 8, 8), np.uint8), np.array([0, 1, 0, 1])
    names = ["cats", "dogs that are very long indeed"]
    grids.figure4b(images, labels, "GET", [tmp_path / "b.png"], names=names)
    noise = images.astype(np.float32)
    grids.same_noise(noise, images, [("GET", images)], labels, [tmp_path / "n.png"], names)
    found = [{text.get_text() for text in figure.axes[0].get_yticklabels()} for figure in drawn]
    assert found == [{"cats", "dogs that are..."}, {"cats", "dogs that are...", "|difference|"}]


def test_same_noise_of_equal_images(tmp_path: Path) -> None:
    images = np.zeros((2, 1, 8, 8), np.uint8)
    grids.same_noise(images.astype(np.float32), images, [("GET", images)], None, [tmp_path / "f.png"])


def test_axes_name_the_distance(drawn: list[Figure], tmp_path: Path) -> None:
    with distance_called("FD"):
        figures.figure2a([row("GET", run(10.0))], [tmp_path / "x.png"])
    assert [axes.get_ylabel() for axes in drawn[0].axes] == ["FD (train)"]
