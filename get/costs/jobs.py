"""Every job of an experiment, from an empty results folder: what it needs, what it does, and what it leaves.

A function of the settings alone. The rules say the same in Snakemake's words; tests/test_plan.py compares the
numbers of jobs, so that a rule that is added, merged or divided must be so here too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from get.costs.measure import REPEATS, WARM_UP
from get.data import sets
from get.networks.denoiser import build as build_teacher
from get.pairs.shards import shard_range
from get.storage.hashing import canonical_json
from get.student.models import build as build_student
from get.student.models import parameter_count
from get.teacher.samplers import evaluations

RULES = {  # kind of job and priority, as in workflow/rules; all others are light and have none
    "costs": ("costs", 1000),
    "generate_pairs": ("pairs", 90),
    "make_manifest": ("light", 90),
    "reference_statistics": ("score", 0),
    "same_noise": ("sample", 0),
    "sample_baseline": ("light", 20),
    "sample_student": ("sample", 20),
    "sample_teacher": ("light", 20),
    "score": ("score", 10),
    "train_classifier": ("classifier", 0),
    "train_student": ("student", 80),
    "train_teacher": ("teacher", 100),
}
INCEPTION = (2048, 1008)  # its features and its logits
PUBLISHED = {  # EDM's networks for CIFAR-10, which are imported (Karras et al. 2022)
    "sigma_data": 0.5,
    "model_channels": 128,
    "channel_mult": [2, 2, 2],
    "blocks": 4,
    "attention_resolutions": [16],
    "dropout": 0.13,
    "augment_dim": 9,
}
CHECKPOINTING = 1.2  # O(1) memory computes most of a step's forward pass, a third of it, again

Settings = dict[str, Any]


class Measure(NamedTuple):
    """What is to be timed: a function of `calibration`, the kind of job that does it, settings as JSON."""

    name: str
    kind: str
    settings: str


class Work(NamedTuple):
    """So many units ('step', 'image', ...) of what is timed."""

    measure: Measure
    unit: str
    amount: float


@dataclass(frozen=True)
class Job:
    """One job.

    Args:
        rule: of the workflow; what: its row in the plan, which it shares with alike jobs.
        name: of its result, below the results folder; needs: the names of what must be there.
        work: what it does once it has started; None if that is not known.
        writes: bytes that it leaves on disk; None if that is not known.
    """

    rule: str
    what: str
    name: str
    needs: tuple[str, ...]
    work: tuple[Work, ...] | None
    writes: int | None

    @property
    def kind(self) -> str:
        """The kind of job, of `jobs` in the config."""
        return RULES.get(self.rule, ("light", 0))[0]

    @property
    def priority(self) -> int:
        """The priority of the rule."""
        return RULES.get(self.rule, ("light", 0))[1]


def measure(name: str, kind: str, **settings: Any) -> Measure:
    """Return a `Measure`."""
    return Measure(name, kind, canonical_json(settings))


class Experiment:
    """An experiment, whose `jobs` come in the order of the stages.

    Args:
        settings: those that workflow/rules/common.smk writes for the plan.
        gpus: how many there are; a training that asks for several shares its batch among them.
    """

    def __init__(self, settings: Settings, gpus: int = 0) -> None:
        self.s, self.gpus = settings, gpus
        self.jobs: list[Job] = []
        data = settings["data"]
        images = sets.describe(data["name"]).images
        if isinstance(images, int):  # which are split here
            test = math.ceil(images * data["test_fraction"])
            images = images - test, test
        self.train, self.test = images
        self.pixels = math.prod(data["shape"])
        self.samples = settings["evaluation"]["samples"]
        used = {student["pairs"] for student in settings["students"].values()}
        self.pairs = {name: pairs for name, pairs in settings["pairs"].items() if name in used}
        for stage in (self._data, self._teachers, self._pairs, self._students, self._samples, self._scores):
            stage()
        self._costs()
        self._paper()
        asked = dict.fromkeys(need for job in self.jobs for need in job.needs)
        for name in asked:
            if name.startswith("settings/"):
                self._add("settings", "all", name)
            if name.startswith("inputs/"):
                self._add("download", name, name, work=None, writes=None)

    def measures(self) -> list[Measure]:
        """Return what has to be timed, each once."""
        return list(dict.fromkeys(work.measure for job in self.jobs for work in job.work or ()))

    def _add(
        self,
        rule: str,
        what: str,
        name: str,
        *needs: str,
        work: Sequence[Work] | None = (),
        writes: int | None = 0,
    ) -> None:
        self.jobs.append(Job(rule, what, name, needs, work if work is None else tuple(work), writes))

    def _shape(self, conditional: bool = True) -> Settings:
        """Return what a model must know of the images."""
        channels, size, _ = self.s["data"]["shape"]
        return {"channels": channels, "size": size, "classes": self.s["data"]["classes"] * conditional}

    def _inputs(self, key: str) -> list[str]:
        """Return what must be downloaded for a key of the config."""
        return [f"inputs/{self.s['downloads'][key]}"] if key in self.s["downloads"] else []

    def teachers(self) -> list[Settings]:
        """Return the descriptions of the teachers."""
        return [self._teacher(name) for name in sorted({pairs["teacher"] for pairs in self.pairs.values()})]

    def students(self) -> list[Settings]:
        """Return the descriptions of the students."""
        return [self._student(name) for name in self.s["students"]]

    def _processes(self, kind: str) -> int:
        return max(1, min(self.s["jobs"][kind]["gpu"], self.gpus))

    # -------------------------------------------------------------------------- real images and features

    def _data(self) -> None:
        name, images = self.s["data"]["name"], self.train + self.test
        writes = images * (self.pixels + 9)  # with label and split
        self._add("make_data", name, "images", *self._inputs("data.source"), writes=writes)
        self.extractor: Settings = {"name": "inception"}
        self.widths = INCEPTION
        if self.s["features"]["extractor"] == "inception":
            self._add("import_inception", "inception", "features", *self._inputs("features.source"))
        else:
            self._classifier(**self.s["features"]["classifier"])
        given: Settings = {"batch": self.s["evaluation"]["batch"], "shape": self.s["data"]["shape"]}
        self.extraction = measure("features", "score", extractor=self.extractor, **given)
        width = self.widths[0]
        writes = 4 * images * width + 2 * 8 * width * (width + 1)  # features, mean and covariance
        work = [Work(self.extraction, "image", images)]
        needs = ("images", "features")
        self._add("reference_statistics", "both splits", "reference", *needs, work=work, writes=writes)

    def _classifier(self, model: Settings, noise: float, steps: int, training: Settings) -> None:
        model = {**model, **self._shape()}
        self.extractor, self.widths = (
            {"name": "classifier", "model": model},
            (model["features"], model["classes"]),
        )
        step = measure("classifier_step", "classifier", model=model, noise=noise, training=training)
        self._add("train_classifier", "classifier", "features", "images", work=_training(step, steps))

    # -------------------------------------------------------------------------- teachers and pairs

    def _teacher(self, name: str) -> Settings:
        """Return the description of a teacher."""
        teacher = self.s["teachers"][name]
        return {**teacher.get("network", PUBLISHED), **self._shape(teacher["conditional"])}

    def _teachers(self) -> None:
        for name in sorted({pairs["teacher"] for pairs in self.pairs.values()}):
            teacher, model, path = self.s["teachers"][name], self._teacher(name), f"teachers/{name}"
            writes, _ = sizes(build_teacher, model)
            if "network" not in teacher:
                inputs = self._inputs(f"teachers.{name}.source")
                self._add("import_teacher", name, path, *inputs, writes=writes)
                continue
            given = {key: teacher[key] for key in ("training", "noise_levels")}
            step = measure(
                "teacher_step", "teacher", model=model, processes=self._processes("teacher"), **given
            )
            work = _training(step, teacher["steps"])
            self._add("train_teacher", name, path, "images", work=work, writes=writes)

    def _shard_bytes(self, pairs: int) -> int:
        return pairs * (2 * 2 * self.pixels + 8)  # noise and image in float16, the label

    def _pairs(self) -> None:
        for name, pairs in self.pairs.items():
            sampler, shards, teacher = pairs["sampler"], pairs["shards"], pairs["teacher"]
            evaluation = measure("teacher_evaluation", "pairs", model=self._teacher(teacher), sampler=sampler)
            counts = [len(shard_range(k, shards, pairs["count"], sampler["batch"])) for k in range(shards)]
            parts = {f"train-{number:05d}": count for number, count in enumerate(counts)}
            parts["held-out"] = pairs["held_out"]
            for part, count in parts.items():
                batches = math.ceil(count / sampler["batch"])  # whole ones, of which the last may be cut
                work = [Work(evaluation, "batch", batches * evaluations(sampler))]
                what, writes = f"{name}, {part.partition('-0')[0]}", self._shard_bytes(count)
                path = f"pairs/{name}/{part}"
                self._add("generate_pairs", what, path, f"teachers/{teacher}", work=work, writes=writes)
            self._add("make_manifest", name, f"pairs/{name}", *(f"pairs/{name}/{part}" for part in parts))

    # -------------------------------------------------------------------------- students and their samples

    def _student(self, name: str) -> Settings:
        """Return the whole description of a student."""
        student = self.s["students"][name]
        teacher = self.s["teachers"][self.s["pairs"][student["pairs"]]["teacher"]]
        return {**student["model"], **self._shape(teacher["conditional"])}

    def _step(self, name: str, processes: int, **change: Any) -> Measure:
        training = {**self.s["students"][name]["training"], **change}
        decisive = {key: training[key] for key in ("batch", "checkpointing", "clip", "compile", "precision")}
        return measure(
            "student_step", "student", model=self._student(name), training=decisive, processes=processes
        )

    def _students(self) -> None:
        for name, student in self.s["students"].items():
            weights, state = sizes(build_student, self._student(name))
            step, settings = self._step(name, self._processes("student")), f"settings/students/{name}"
            for seed in student["seeds"]:
                done, before = 0, f"pairs/{student['pairs']}"
                for stop in student["milestones"]:
                    what, path = f"{name}, step {stop}", f"students/{name}/seed{seed}/{stop}"
                    if student["imported"]:
                        needs = [settings, *self._inputs(f"students.{name}.import")]
                        self._add("import_student", what, path, *needs, writes=weights)
                    else:
                        work, writes = _training(step, stop - done), weights + state
                        self._add("train_student", what, path, settings, before, work=work, writes=writes)
                    done, before = stop, path

    def _counts(self, name: str, step: int) -> list[int]:
        """Return the iterations of a student's variants at a milestone: one for each, 0 without a state."""
        trained = self.s["students"][name]["model"].get("iterations")
        if trained is None:
            return [0]
        swept = step == self.s["students"][name]["headline"]
        others = self.s["evaluation"]["iterations"] if swept else []
        return [trained, trained, *(count for count in others if count != trained)]

    def _sampling(self, name: str, images: int, iterations: int) -> list[Work]:
        """Return the work of sampling so many images."""
        model, evaluation = self._student(name), self.s["evaluation"]
        most = max([1, model.get("iterations", 1), *evaluation["iterations"]])
        given: Settings = {key: evaluation[key] for key in ("batch", "precision")}
        found = measure("sampling", "sample", model=model, most=most, **given)
        return [Work(found, "image", images), Work(found, "iteration", images * iterations)]

    def _sample_bytes(self, samples: int, variants: int) -> int:
        return samples * (variants * self.pixels + 8)

    def _checkpoints(self) -> list[tuple[str, int, str]]:
        """Return student, step and path of all checkpoints."""
        return [
            (name, step, f"students/{name}/seed{seed}/{step}")
            for name, student in self.s["students"].items()
            for seed in student["seeds"]
            for step in student["milestones"]
        ]

    def _samples(self) -> None:
        for name, step, path in self._checkpoints():
            pairs, counts = self.s["students"][name]["pairs"], self._counts(name, step)
            work = self._sampling(name, self.samples + self.s["pairs"][pairs]["held_out"], max(counts))
            needs = (path, f"settings/sampling/{name}/{step}", f"pairs/{pairs}/held-out")
            writes = self._sample_bytes(self.samples, len(counts))
            what = f"{name}, step {step}"
            self._add("sample_student", what, f"samples/{path}", *needs, work=work, writes=writes)
        one = self._sample_bytes(self.samples, 1)
        for name in self.pairs:
            self._add("sample_teacher", name, f"samples/teachers/{name}", f"pairs/{name}", writes=one)
        for kind, count in (("real", self.test), ("noise", self.samples)):
            writes = self._sample_bytes(count, 1)
            self._add("sample_baseline", kind, f"samples/baselines/{kind}", "images", writes=writes)

    # -------------------------------------------------------------------------- scores, costs, the paper

    def _scores(self) -> None:
        given = {"shape": self.s["data"]["shape"], "options": self.s["evaluation"]["scoring"]}
        counts = {"samples": self.samples, "train": self.train, "widths": self.widths}
        scoring = measure("scoring", "score", **given, **counts)
        sources = {
            path: (f"{name}, step {step}", self._counts(name, step))
            for name, step, path in self._checkpoints()
        }
        sources |= {f"teachers/{name}": (f"teacher {name}", [0]) for name in self.pairs}
        sources |= {f"baselines/{kind}": (kind, [0]) for kind in ("real", "noise")}
        for path, (what, variants) in sources.items():
            # the real images may be fewer; their scores are taken for as expensive as the others
            work = [Work(self.extraction, "image", len(variants) * self.samples)]
            work += [Work(scoring, "variant", len(variants)), Work(scoring, "headline", 1)]
            needs = (f"samples/{path}", "reference", "settings/scoring")
            self._add("score", what, f"scores/{path}", *needs, work=work)

    def _costs(self) -> None:
        """What students share is measured once (see evaluation/costs.py)."""
        calls, work = WARM_UP + REPEATS, []
        for name, student in self.s["students"].items():
            step, trained = self._step(name, 1, checkpointing=False), student["model"].get("iterations")
            times = 1 + CHECKPOINTING if trained else 1
            work += [
                Work(step, "step", calls * times),
                Work(step, "profile", times),
                Work(step, "first", times),
            ]
            counts = {trained, *self.s["evaluation"]["iterations"]} if trained else {0}
            for count in counts:
                work += self._sampling(name, calls * self.s["evaluation"]["batch"], count)
        self._add("costs", "all students", "costs", "settings/costs", work=list(dict.fromkeys(work)))

    def _paper(self) -> None:
        """Tables and figures come last: each is taken for one that waits for all scores and costs."""
        scores = [f"scores/{path}" for _, _, path in self._checkpoints()]
        for rule, names in self.s["shown"].items():
            for name in names:
                self._add(rule, name, name, *scores, "costs", f"settings/paper/{name}")


def _training(step: Measure, steps: int) -> list[Work]:
    return [Work(step, "step", steps), Work(step, "first", 1)]


def sizes(build: Any, model: Settings) -> tuple[int, int]:
    """Return the bytes of a model's weights, and of the whole state of its training."""
    with torch.device("meta"):
        built: nn.Module = build(model)
    weights = 4 * parameter_count(built)
    trained = sum(p.numel() for p in built.parameters() if p.requires_grad)
    return weights, weights + 3 * 4 * trained  # with their average and the optimiser's two moments
