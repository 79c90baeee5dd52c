"""What students are trained to do: each objective against its mathematics, and as training runs it."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import DISTILLATION, GET, NETWORK, SHAPE, TRAINING
from safetensors.torch import load_file
from test_training import Kill, assert_same, kill  # noqa: F401 (a fixture)
from torch import Tensor, nn

from get.networks import preconditioning
from get.networks.denoiser import build as build_teacher
from get.networks.levels import noise_levels
from get.networks.unet import UNet
from get.pairs.dataset import Batch
from get.runtime import plugins
from get.runtime.processes import own_rows
from get.storage.atomic import write_json
from get.storage.errors import UserError
from get.storage.weights import write_weights
from get.student import checkpoint, losses, objectives
from get.student.architectures.unet import UNetStudent
from get.student.models import build
from get.student.objective import Distillation, Objective, Task
from get.student.objectives.consistency import Consistency, lognormal, noise_edges, staged
from get.student.objectives.progressive import Progressive, two_steps
from get.student.objectives.reflow import Reflow, toward_ends
from get.student.training import Inputs, train_student
from get.training import loop
from get.training.state import State

CPU = torch.device("cpu")
UNET = {"family": "unet", "network": NETWORK, "conditioning": "embedding"}
ALL = slice(0, 64)


def unet(form: str = "denoiser", seed: int = 0, **change: Any) -> UNetStudent:
    torch.manual_seed(seed)
    student = build({**SHAPE, **UNET, "form": form, **change})
    assert isinstance(student, UNetStudent)
    for parameter in student.parameters():  # its last layers start next to zero
        parameter.data += 0.05 * torch.randn_like(parameter)
    return student


def task(student: Any, loss: str = "l2", batch: int = 64, teacher: Any = None) -> Task:
    return Task(student, losses.build({"name": loss}), batch, 0, CPU, teacher)


def examples(count: int = 64, seed: int = 1) -> Batch:
    source = torch.Generator().manual_seed(seed)
    noise, image = (torch.randn(count, 1, 8, 8, generator=source) for _ in range(2))
    return Batch(noise, image / 2, torch.arange(count) % 10)


# ------------------------------------------------------------------------------------ networks and forms


def test_a_network_with_the_teachers_weights_is_the_teachers_denoiser_bit_for_bit() -> None:
    torch.manual_seed(0)
    teacher = build_teacher({**NETWORK, **SHAPE})
    for parameter in teacher.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    student = unet()
    student.load_state_dict(teacher.state_dict())
    noise, _, label = examples()
    sigma = torch.linspace(0.01, 80, 64)
    assert student(noise, label, sigma).equal(teacher(noise, sigma, label))
    # one sample is that of the highest level
    assert student(noise, label).equal(teacher(80 * noise, torch.full((64,), 80.0), label))


@pytest.mark.parametrize("sigma_min", [0.002, 0.01, 0.3])
def test_at_the_lowest_level_a_consistency_function_is_the_identity(sigma_min: float) -> None:
    student = unet("consistency", sigma_min=sigma_min)
    noise, _, label = examples()
    assert student(noise, label, torch.full((64,), sigma_min)).equal(noise)
    assert not torch.allclose(student(noise, label, torch.full((64,), 2 * sigma_min)), noise, atol=1e-6)


def test_a_velocity_is_that_of_the_denoisers_ode() -> None:
    """v = (D(x_t / t; (1 - t) / t) - x_t) / (1 - t) for one network F, in float64."""
    torch.manual_seed(0)
    network = UNet(**{k: v for k, v in NETWORK.items() if k != "sigma_data"}, **SHAPE).double()
    x, _, label = examples()
    x, t = x.double(), torch.linspace(0.02, 0.97, 64, dtype=torch.float64)
    velocity = preconditioning.velocity(t, 0.5, 0.002, 80.0)(network, x, label)
    s = t.view(-1, 1, 1, 1)
    denoised = preconditioning.denoiser((1 - t) / t, 0.5)(network, x / s, label)
    torch.testing.assert_close(velocity, (denoised - x) / (1 - s), rtol=1e-6, atol=1e-6)


def test_samples_of_each_form() -> None:
    noise, _, label = examples()
    top = torch.full((64,), 80.0)
    for form in ("denoiser", "consistency"):
        student = unet(form)
        assert student.generate(noise, label).images.equal(student(80 * noise, label, top))
    student = unet("velocity")
    zero = torch.zeros(64)
    torch.testing.assert_close(student.generate(noise, label).images, noise + student(noise, label, zero))


# --------------------------------------------------------------------------------------------- mathematics


class Gaussian(nn.Module):
    """The exact denoiser of data N(0, sd^2), or of data N(m, sd^2) per pixel."""

    def __init__(self, sd: float = 0.5, mean: float = 0.3) -> None:
        super().__init__()
        self.sd, self.mean = sd, mean

    def forward(self, x: Tensor, sigma: Tensor, label: Tensor | None = None) -> Tensor:
        variance = sigma.view(-1, 1, 1, 1).square()
        return (self.sd**2 * x + variance * self.mean) / (self.sd**2 + variance)

    def follow(self, x: Tensor, sigma: Tensor, lower: Tensor) -> Tensor:
        """The exact solution of the probability-flow ODE from `sigma` to `lower`."""
        ratio = ((self.sd**2 + lower**2) / (self.sd**2 + sigma**2)).sqrt().view(-1, 1, 1, 1)
        return self.mean + (x - self.mean) * ratio


def test_two_steps_in_one() -> None:
    """One Euler step to the target arrives where two steps of an exact denoiser do."""
    exact, x = Gaussian(), examples().noise.double()
    levels = noise_levels(16, 0.002, 80.0, 7.0)
    for count in (8, 4, 2, 1):
        half = 16 // count // 2
        for place in range(count):
            s, m, u = (levels[2 * half * place + half * i].expand(64) for i in range(3))
            target = two_steps(exact, x * s[0], s, m, u)
            state, at = x * s[0], float(s[0])
            for lower in (float(m[0]), float(u[0])):  # Euler's method, as a slope
                slope = (state - exact(state, torch.tensor(at, dtype=torch.float64).expand(64))) / at
                state, at = state + (lower - at) * slope, lower
            one = x * s[0] + (u - s).view(-1, 1, 1, 1) * (x * s[0] - target) / s.view(-1, 1, 1, 1)
            torch.testing.assert_close(one, state, rtol=0, atol=1e-12 * float(s[0]))


def test_consistency_distillation_follows_the_ode() -> None:
    """A Heun step of the objective is near the exact solution, and of second order."""
    exact, batch = Gaussian(), examples()
    errors = []
    for gap in (0.2, 0.1):
        objective = Consistency(task(unet("consistency"), teacher=exact))
        high = torch.linspace(0.5, 2.0, 64)
        low = high - gap
        x = batch.image + high.view(-1, 1, 1, 1) * batch.noise
        errors.append((objective._heun_step(x, high, low, None) - exact.follow(x, high, low)).abs().max())
    assert errors[1] < 2e-3
    assert 6 < errors[0] / errors[1] < 10  # third order in a single step


def test_a_consistency_function_of_the_exact_solution_has_no_loss() -> None:
    """With many levels; a teacher whose ODE is another gives a loss."""

    class Solved(UNetStudent):
        def forward(self, x: Tensor, label: Tensor | None, level: Tensor | None = None) -> Tensor:
            assert level is not None
            return Gaussian().follow(x, level, torch.full_like(level, self.sigma_min))

    student = unet("consistency")
    student.__class__ = Solved
    values = {
        mean: Consistency(task(student, teacher=Gaussian(mean=mean)), levels=400)(
            student, examples(), 0, ALL
        ).item()
        for mean in (0.3, 0.4)
    }
    assert values[0.3] < 1e-6
    assert values[0.4] > 20 * values[0.3]


def test_training_a_consistency_function_of_gaussian_data() -> None:
    """A linear f(x, sigma) that is trained by the objective becomes the exact solution of the ODE."""
    edges = noise_edges(10, 0.1, 3.0, CPU)

    class Linear(UNetStudent):
        """f = c_skip x + c_out (a x / norm + b), with a and b of each level."""

        def forward(self, x: Tensor, label: Tensor | None, level: Tensor | None = None) -> Tensor:
            assert level is not None
            weight, bias = self.table[torch.searchsorted(edges, level)].unbind(1)

            def network(y: Tensor, noise: Tensor, label: Tensor | None) -> Tensor:
                return weight.view(-1, 1, 1, 1) * y + bias.view(-1, 1, 1, 1)

            return preconditioning.consistency(level, 0.5, self.sigma_min)(network, x, label)

    student = unet("consistency", sigma_min=0.1, sigma_max=3.0)
    student.__class__ = Linear
    student.table = nn.Parameter(torch.zeros(10, 2))
    exact, source = Gaussian(sd=0.4, mean=0.2), torch.Generator().manual_seed(0)
    objective = Consistency(task(student, batch=128, teacher=exact), levels=10)
    optimizer = torch.optim.Adam([student.table], lr=0.05)
    for step in range(800):
        noise, image = (torch.randn(128, 1, 2, 2, generator=source) for _ in range(2))
        batch = Batch(noise, 0.2 + 0.4 * image, torch.zeros(128, dtype=torch.int64))
        optimizer.zero_grad()
        objective(student, batch, step, slice(0, 128)).backward()
        optimizer.step()
    noise = torch.randn(128, 1, 2, 2, generator=source)
    for sigma in edges[1:]:
        level = sigma.expand(128)
        x = exact.mean + math.hypot(sigma, exact.sd) * noise
        found, wanted = student(x, None, level), exact.follow(x, level, torch.full((128,), 0.1))
        assert (found - wanted).abs().mean() < 0.05, sigma


def test_reflow_of_straight_pairs() -> None:
    """Pairs on straight lines at one velocity: it has no loss, and its single step arrives."""

    class Shift(UNetStudent):
        def forward(self, x: Tensor, label: Tensor | None, level: Tensor | None = None) -> Tensor:
            return torch.full_like(x, 0.7) if level is not None else x + 0.7

    student = unet("velocity")
    student.__class__ = Shift
    noise = examples().noise
    batch = Batch(noise, noise + 0.7, torch.zeros(64, dtype=torch.int64))
    for step, change in ((0, {}), (0, {"times": "ends"}), (9, {"distil_after": 5})):
        assert Reflow(task(student), **change)(student, batch, step, ALL) < 1e-12


def test_times_towards_the_ends() -> None:
    t = toward_ends(torch.linspace(0, 1, 20001, dtype=torch.float64), 2.0)
    assert t[0] == pytest.approx(0)
    assert t[-1] == pytest.approx(1)
    assert t[10000] == pytest.approx(0.5)
    density = torch.histc(t, bins=20, min=0, max=1) * 20 / len(t)
    middle = (torch.arange(20) + 0.5) / 20
    wanted = torch.exp(4 * middle) + torch.exp(4 * (1 - middle))
    torch.testing.assert_close(density, (wanted / wanted.mean()).double(), rtol=0.05, atol=0)


# ----------------------------------------------------------------------------------------------- schedules


def test_stages_of_the_gap() -> None:
    sigma = torch.tensor([0.002, 0.1, 1.0, 10.0, 80.0], dtype=torch.float64)
    for stage in (1, 2, 3, 8):
        wanted = [max(0.0, s * (1 - (1 + 8 / (1 + math.exp(s))) / 2**stage)) for s in sigma.tolist()]
        torch.testing.assert_close(staged(sigma, stage, 2.0).tolist(), wanted, rtol=1e-12, atol=1e-15)
    objective = Consistency(task(unet("consistency")), distillation=False, schedule="staged", stage=100)
    seen = [objective.draw(step, ALL) for step in (99, 100)]
    for levels, stage in zip(seen, (1, 2), strict=True):
        assert levels.low.equal(staged(levels.high, stage, 2.0).clamp(min=0.002))
        assert (levels.high > levels.low).all()


def test_levels_double_their_gaps() -> None:
    objective = Consistency(task(unet("consistency")), levels=11, double_every=50, most_levels=81)
    counts = [objective.count(step) for step in (0, 49, 50, 100, 149, 150, 10**9)]
    assert counts == [11, 11, 21, 41, 41, 81, 81]
    assert Consistency(task(unet("consistency")), levels=18).count(10**9) == 18
    edges = noise_edges(18, 0.002, 80.0, CPU)
    torch.testing.assert_close(
        edges.double(), noise_levels(18, 0.002, 80.0, 7.0)[:-1].flip(0), rtol=1e-6, atol=0
    )


def test_levels_are_neighbours_as_often_as_their_density_says() -> None:
    edges = noise_edges(18, 0.002, 80.0, CPU)
    for density in ("uniform", "lognormal"):
        objective = Consistency(task(unet("consistency"), batch=40000), density=density)
        high, low = objective.draw(0, slice(0, 40000))
        place = torch.searchsorted(edges, low)
        assert edges[place].equal(low)
        assert edges[place + 1].equal(high)
        share = torch.bincount(place, minlength=17) / 40000
        cdf = [0.5 * (1 + math.erf((math.log(e) + 1.1) / 2 / math.sqrt(2))) for e in edges.tolist()]
        gaps = torch.tensor(cdf).diff()
        wanted = torch.full((17,), 1 / 17) if density == "uniform" else gaps / gaps.sum()
        torch.testing.assert_close(share, wanted, atol=0.01, rtol=0)


def test_lognormal_levels_are_cut_off() -> None:
    levels = lognormal(torch.rand(100000, generator=torch.Generator().manual_seed(0)), 0.002, 80.0)
    assert 0.002 <= levels.min() <= levels.max() <= 80
    logs = levels.log()
    assert logs.mean().item() == pytest.approx(-1.1, abs=0.05)
    assert logs.std().item() == pytest.approx(2.0, abs=0.1)  # a little less without the ends


def test_phases_halve_the_steps_and_the_student_becomes_the_teacher() -> None:
    student = unet()
    objective = Progressive(task(student), start=8, phase=3)
    assert [objective.steps(step) for step in (0, 2, 3, 5, 6, 100)] == [4, 4, 2, 2, 1, 1]
    rates = [objective.rate(step) for step in range(12)]
    assert rates == pytest.approx([1, 2 / 3, 1 / 3] * 3 + [1 / 3] * 3)
    options = Distillation.read({**TRAINING, "objective": "progressive", "start": 8, "phase": 3}, "training")
    state, changes = State(student, options, "", objective.frozen), []
    assert objective.frozen is not None
    for step in range(12):
        before = objective.frozen.state_dict()["model.map_layer0.weight"].clone()
        average = state.ema[0].clone()
        objective.prepare(state)
        after = objective.frozen.state_dict()["model.map_layer0.weight"]
        if not after.equal(before):
            changes.append(step)
            name = next(name for name, p in student.named_parameters())
            assert objective.frozen.state_dict()[name].equal(average)
            assert student.state_dict()[name].equal(average)
        loop.take_step(
            state, student, lambda forward, s, rows: objective(forward, examples(16), s, rows), options, 0
        )
    assert changes == [3, 6]  # and no further: the last phase goes on


def test_the_target_is_a_moving_average_of_the_weights() -> None:
    student = unet("consistency")
    objective = Consistency(task(student, teacher=Gaussian()), target_ema=0.75)
    assert objective.frozen is not None
    options = Distillation.read({**TRAINING, "objective": "consistency", "target_ema": 0.75}, "training")
    state = State(student, options, "", objective.frozen)
    name = "model.map_layer0.weight"
    wanted = student.state_dict()[name].clone()
    for _ in range(4):
        objective.prepare(state)
        wanted = wanted if not state.step else 0.75 * wanted + 0.25 * student.state_dict()[name]
        torch.testing.assert_close(objective.frozen.state_dict()[name], wanted)
        loop.take_step(
            state, student, lambda forward, s, rows: objective(forward, examples(16), s, rows), options, 0
        )


def test_student_and_target_drop_the_same() -> None:
    """At equal levels and noise, f and its target are one function: without one mask they would differ."""

    class Same(Consistency):
        def draw(self, step: int, rows: slice) -> Any:
            levels = super().draw(step, rows)
            return levels._replace(low=levels.high)

    student = unet("consistency", network={**NETWORK, "dropout": 0.5}).train()
    objective = Same(task(student), distillation=False)
    torch.manual_seed(7)
    assert objective(student, examples(), 0, ALL) == 0


def test_the_loss_divided_by_the_gap() -> None:
    student, batch = unet("consistency"), examples()
    one, two = (
        Consistency(task(student, "l1"), distillation=False, weighting=weighting)
        for weighting in ("none", "gap")
    )
    high, low = one.draw(5, ALL)
    x = [batch.image + level.view(-1, 1, 1, 1) * batch.noise for level in (high, low)]
    with torch.no_grad():
        errors = (
            (student(x[0], batch.label, high) - student(x[1], batch.label, low)).abs().mean(dim=(1, 2, 3))
        )
    torch.testing.assert_close(one(student, batch, 5, ALL), errors.mean())
    torch.testing.assert_close(two(student, batch, 5, ALL), (errors / (high - low)).mean())


# --------------------------------------------------------------------------------------------------- losses


def test_losses_by_hand() -> None:
    found, wanted = examples().noise, examples().image
    difference = (found - wanted).double()
    assert losses.build({"name": "l1"})(found, wanted).equal((found - wanted).abs())
    assert losses.build({"name": "l2"})(found, wanted).equal((found - wanted).square())
    huber = losses.build({"name": "pseudo_huber", "c": 0.1})(found, wanted)
    assert huber.shape == (64, 1, 1, 1)
    d, c = 64, 0.1 * math.sqrt(64)  # equation 8 of arXiv 2310.14189, divided by sqrt(d)
    norms = difference.square().flatten(1).sum(dim=1)
    equation = ((norms + c**2).sqrt() - c) / math.sqrt(d)
    torch.testing.assert_close(huber.flatten().double(), equation, rtol=1e-5, atol=1e-7)


# ------------------------------------------------------------------------------------------- as it is trained


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    model = build_teacher({**NETWORK, **SHAPE})
    for parameter in model.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    write_weights(path, "teacher", model.state_dict(), {"model": {**NETWORK, **SHAPE}})
    return path


KINDS: dict[str, dict[str, Any]] = {
    "kd": {"loss": {"name": "l2"}},
    "reflow": {"objective": "reflow", "distil_after": 15},
    "cd": {"objective": "consistency", "target_ema": 0.5, "levels": 6},
    "ect": {
        "objective": "consistency", "distillation": False, "schedule": "staged", "stage": 10,
        "weighting": "gap", "loss": {"name": "l2"}, "init": "teacher",
    },
    "pd": {"objective": "progressive", "start": 4, "phase": 12, "init": "teacher"},
}  # fmt: skip


@pytest.fixture
def fit(pairs: Path, digits: Path, teacher: Path) -> Callable[..., dict[str, Tensor]]:
    """Train a student of a kind up to a step."""

    def fit(
        kind: str, output: Path, stop: int, start: Path | None = None, **change: Any
    ) -> dict[str, Tensor]:
        training = {**TRAINING, **KINDS[kind]} | change.pop("training", {})
        settings = {"model": change.pop("model", UNET), "training": training}
        settings |= dict.fromkeys(objectives.needs(training), "abc")
        settings_file = output.with_name("settings.json")
        output.parent.mkdir(exist_ok=True)
        write_json(settings_file, settings)
        inputs = Inputs(pairs, digits, teacher)
        train_student(
            settings=settings_file, inputs=inputs, seed=0, stop=stop, device="cpu", start=start,
            output=output, **change,
        )  # fmt: skip
        return load_file(output.with_suffix(".safetensors"))

    return fit


Fit = Callable[..., dict[str, Tensor]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_killed_and_resumed_equals_uninterrupted(kind: str, fit: Fit, tmp_path: Path, kill: Kill) -> None:  # noqa: F811
    whole = fit(kind, tmp_path / "whole" / "30.pt", 30)
    kill(13, lambda: fit(kind, tmp_path / "cut" / "30.pt", 30))
    assert_same(fit(kind, tmp_path / "cut" / "30.pt", 30), whole)
    # and over a milestone, where a phase begins
    fit(kind, tmp_path / "chain" / "12.pt", 12)
    assert_same(fit(kind, tmp_path / "chain" / "30.pt", 30, tmp_path / "chain" / "12.pt"), whole)
    header = checkpoint.load(tmp_path / "whole" / "30.safetensors")[1]
    assert header["plateau"] in (True, False)
    rows = json.loads((tmp_path / "whole" / "30.json").read_text())["rows"]
    assert all(math.isfinite(value) for row in rows for value in row)


def test_the_learning_rate_is_that_of_the_objective(
    fit: Fit, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Progressive, "rate", lambda self, step: float(step >= 5))
    assert_same(fit("pd", tmp_path / "5.pt", 5), load_file(teacher))
    changed = fit("pd", tmp_path / "6.pt", 6, tmp_path / "5.pt")
    assert not changed["model.map_layer0.weight"].equal(load_file(teacher)["model.map_layer0.weight"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_in_parts_trains_to_the_same(kind: str, fit: Fit, tmp_path: Path) -> None:
    found = [
        fit(kind, tmp_path / str(parts) / "10.pt", 10, accumulate=parts, prefetch=parts - 1)
        for parts in (1, 4)
    ]
    for other in found[1:]:
        for name, weight in found[0].items():
            torch.testing.assert_close(other[name], weight, rtol=1e-3, atol=1e-4, msg=name)
    assert any(not other[name].equal(weight) for other in found[1:] for name, weight in found[0].items())


def test_a_training_goes_on_in_parts(fit: Fit, tmp_path: Path) -> None:
    """As after a lack of memory: the settings are the same."""
    fit("kd", tmp_path / "10.pt", 10)
    fit("kd", tmp_path / "20.pt", 20, tmp_path / "10.pt", accumulate=4)
    with pytest.raises(
        UserError, match=r"in 3 parts each cannot share equally; change it or training.accumulate"
    ):
        fit("kd", tmp_path / "30.pt", 30, tmp_path / "20.pt", accumulate=3)


@pytest.mark.parametrize("kind", ["get", *KINDS])
def test_gradients_of_parts_are_those_of_the_batch(kind: str) -> None:
    settings = DISTILLATION if kind == "get" else {**TRAINING, **KINDS[kind]}
    options = Distillation.read(settings, "training")
    noise, image, label = examples(16)
    whole, gradients = Batch(noise, image, label), []
    student = build({**SHAPE, **GET}) if kind == "get" else unet(objectives.about(options.objective)["FORM"])
    one = Task(student, options.build_loss(), 16, 0, CPU, Gaussian())  # type: ignore[arg-type]
    objective = options.build(one)
    for parts in (1, 2, 4):
        student.zero_grad()
        for rows in own_rows(16, parts):
            part = Batch(*(tensor[rows] for tensor in whole))
            (objective(student, part, 3, rows) / parts).backward()
        gradients.append([p.grad.clone() for p in student.parameters() if p.grad is not None])
    assert any(gradient.abs().max() > 1e-3 for gradient in gradients[0])
    for other in gradients[1:]:
        for mine, theirs in zip(gradients[0], other, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5 * max(1, mine.abs().max().item()))


def test_a_student_starts_from_the_teacher(fit: Fit, teacher: Path, tmp_path: Path) -> None:
    """A training that hardly moves leaves the teacher's weights; one of another network is refused."""
    still = {"lr": 1e-12, "ema": 0.0}
    weights = fit("ect", tmp_path / "1.pt", 1, training=still)
    for name, weight in load_file(teacher).items():
        torch.testing.assert_close(weights[name], weight, rtol=0, atol=1e-9)
    for change in ({"model_channels": 12}, {"sigma_data": 0.6}):
        wide = {**UNET, "network": {**NETWORK, **change}}
        with pytest.raises(UserError, match=r"training.init: .*teacher.safetensors has another network"):
            fit("ect", tmp_path / "x.pt", 1, model=wide)


def test_a_missing_input_is_named(fit: Fit, pairs: Path, digits: Path, tmp_path: Path) -> None:
    fit("cd", tmp_path / "1.pt", 1)
    for inputs, name in ((Inputs(manifest=pairs), "images"), (Inputs(images=digits), "teacher")):
        with pytest.raises(UserError, match=f"its training needs the file --{name}"):
            train_student(
                settings=tmp_path / "settings.json", inputs=inputs, seed=0, stop=1, device="cpu", start=None,
                output=tmp_path / "2.pt",
            )  # fmt: skip


def test_a_teacher_that_is_not_that_of_the_pairs_is_refused(fit: Fit, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not the teacher of the pairs"):
        fit("kd", tmp_path / "1.pt", 1, training={"init": "teacher"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"objective": "gan"},
            "training.objective: 'gan' must be one of consistency, pairs, progressive, reflow",
        ),
        ({"objective": "reflow", "levels": 4}, "training.levels: there is no such key"),
        ({"objective": "progressive"}, "training.phase is missing"),
        ({"objective": "consistency", "target_ema": 1.0}, "target_ema is 1.0; it must be from 0 to 0.999999"),
        ({"objective": "consistency", "schedule": "x"}, "it must be one of levels, staged"),
        ({"loss_decay": 2.0}, "training.loss_decay is 2.0; it must be from 0 to 1"),
    ],
)
def test_keys_of_objectives_are_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        Distillation.read({**TRAINING, **change}, "training")
    assert message in str(caught.value)


def test_every_objective_is_one() -> None:
    """What the text of the package says that a module assigns, and classes that take a task."""
    for name in plugins.names(objectives.PACKAGE):
        about = objectives.about(name)
        assert issubclass(plugins.load(objectives.PACKAGE, name, "x").OBJECTIVE, Objective)
        assert about["NEEDS"].keys() <= {"pairs", "images", "teacher"}
        assert ("pairs" in about["NEEDS"]) != ("images" in about["NEEDS"])
        assert about["FORM"] in ("denoiser", "consistency", "velocity")
        losses.check({"name": about["DEFAULT_LOSS"]}, "loss")
        assert objectives.keys(name).keys().isdisjoint(Distillation.__dataclass_fields__)
