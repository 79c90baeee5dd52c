"""The typed experiment: what a config may say, how errors name the key, what changes no fingerprint."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import jsonschema
import pytest
import yaml
from conftest import ROOT

from get import studies
from get.experiment import ConfigError, contents
from get.experiment.schema import schema_text
from get.studies import load_experiment as load
from get.studies import settings_text

Config = dict[str, Any]
CONFIGS = [
    "config.yaml", "workflow/config/cifar10.yaml", "workflow/config/photos.yaml",
    "workflow/config/digits-long.yaml", "workflow/config/cifar10-hour.yaml",
    "workflow/config/cifar10-day.yaml", "tests/config.yaml",
]  # fmt: skip
SCHEMA = ROOT / "workflow/schemas/config.schema.json"


def read(path: str) -> Config:
    return yaml.safe_load((ROOT / path).read_text())


GET, GET_TRAINING = "students.get", "students.get.training"
LEARNING = {"batch": 16, "lr": 1.0e-3, "ema": 0.9}
NETWORK = read("tests/config.yaml")["teachers"]["conditional"]["network"]
VIT = read("tests/config.yaml")["students"]["vit"]["model"]


def unet(training: Mapping[str, Any] = {}, model: Mapping[str, Any] = {}, **change: Any) -> Config:
    """A student that may start from its teacher."""
    network = {"family": "unet", "network": NETWORK, "conditioning": "embedding"}
    student = {"label": "U-Net", "pairs": "conditional", "milestones": [2], **change}
    return {**student, "model": {**network, **model}, "training": {**LEARNING, **training}}


CD, PD = {"objective": "consistency"}, {"objective": "progressive", "init": "teacher", "phase": 2}
CT = {**CD, "distillation": False}
WRONG: list[tuple[str, Any, str]] = [
    # keys that there are not
    (f"{GET_TRAINING}.bacth", 3, "students.get.training.bacth: there is no such key; was batch meant?"),
    (f"{GET}.model.depht", 3, "students.get.model.depht: there is no such key; there are conditioning,"),
    (f"{GET}.mileston", [1], "students.get.mileston: there is no such key; was milestones meant?"),
    ("evaluatoin", {}, "evaluatoin: there is no such key; was evaluation meant?"),
    (
        "teachers.conditional.network.width",
        3,
        "teachers.conditional.network.width: there is no such key",
    ),
    (
        "pairs.conditional.sampler.steps",
        3,
        "pairs.conditional.sampler.steps: there is no such key; there are num_steps",
    ),
    ("jobs", {"train": {}}, "jobs.train: there is no such key; there are light, classifier, teacher,"),
    ("evaluation.scoring.fid", 1, "evaluation.scoring.fid: there is no such key; there are splits,"),
    (
        f"{GET}.import",
        {"ulr": "https://x.org/a.pth"},
        "students.get.import.ulr: there is no such key",
    ),
    (f"{GET}.training", "*get", "students.get.training: keys and values should be where there is '*get'"),
    # an anchor of a model where one of a training should be
    (f"{GET}.training", {"family": "get", "patch": 2}, "students.get.training.family: there is no such key"),
    ("students", ["get"], "students: keys and values should be where there is ['get']"),
    ("students.a_b", {}, "students.a_b: 'a_b' does not match the pattern"),
    # values that cannot be
    ("pairs.conditional.sampler.rho", "7", "pairs.conditional.sampler.rho is '7'; it must be of type float"),
    (
        "pairs.conditional.sampler.sigma_min",
        0.0,
        "pairs.conditional.sampler: sigma_min must be above 0",
    ),
    (
        "pairs.conditional.sampler.sigma_max",
        0.001,
        "conditional.sampler: sigma_min must be above 0 and below",
    ),
    ("pairs.conditional.sampler.name", "ddim", "sampler.name: 'ddim' must be one of dpm, euler, heun, or a"),
    (f"{GET_TRAINING}.lr", -1.0, "students.get.training.lr: it must be greater than 0; there is -1.0"),
    (f"{GET_TRAINING}.lr", float("nan"), "students.get.training.lr: .nan and .inf are no numbers to"),
    (
        f"{GET_TRAINING}.lr",
        "1e-4",
        "lr: it must be a valid number; there is '1e-4'; write 0.0001",
    ),
    (f"{GET_TRAINING}.ema", 1, "students.get.training.ema: it must be less than 1; there is 1"),
    (f"{GET_TRAINING}.batch", 16.5, "students.get.training.batch: it must be a valid integer; there is 16.5"),
    (f"{GET_TRAINING}.compile", "yes", "students.get.training.compile: it must be a valid boolean; there is"),
    (f"{GET_TRAINING}", {"batch": 16, "ema": 0.9}, "students.get.training.lr is missing"),
    (
        f"{GET}.milestones",
        {"first": 2},
        "students.get.milestones: it must be a valid list; there is {",
    ),
    (f"{GET}.milestones", [2, 2], "students.get.milestones: 2 comes twice; there is [2, 2]"),
    (f"{GET}.milestones", [2, "4"], "students.get.milestones[1]: it must be a valid integer; there is '4'"),
    (f"{GET}.seeds", [0, 1, 0], "students.get.seeds: 0 comes twice"),
    ("pairs.conditional.sampler.sigma_max", float("nan"), "sampler.sigma_max is nan; it must be finite"),
    (f"{GET}.seeds", [], "students.get.seeds: list should have at least 1 item"),
    ("results", "a//b", "results: 'a//b' does not match"),
    ("data.shape", [1, 8], "data.shape: list should have at least 3 items"),
    ("paper.table4", [{"student": "vit"}], "paper.table4: list should have at least 2 items"),
    ("paper.captions", {"table7": "x"}, "paper.captions.table7: 'table7' does not match"),
    (
        "features.extractor",
        "vgg",
        "features.extractor: 'vgg' must be one of autoencoder, classifier, clip, dinov2, inception",
    ),
    (
        "features.extractor",
        "autoencoder",
        "features.autoencoder is missing: the extractor autoencoder needs it",
    ),
    ("data.resize", 16, "data.resize: digits has none; it goes with the name folder"),
    ("data.labels", "none", "data.labels: digits has none; it goes with the name folder"),
    ("data.resize", "16", "data.resize: it must be a valid integer; there is '16'; write 16"),
    ("data.name", "folder", "data.source.path is missing: a folder, zip, tar or .npz of images"),
    ("data", {"name": "folder", "source": {"path": "nowhere"}}, "data.source.path: there is no nowhere"),
    (
        "evaluation.teachers",
        [{"name": "ddim"}],
        "evaluation.teachers[0].name: 'ddim' must be one of dpm, euler",
    ),
    ("evaluation.teachers", [{"num_steps": 1}], "evaluation.teachers[0].num_steps: it must be at least 2"),
    (
        "evaluation.teachers",
        [{"num_steps": 2}, {"num_steps": 2, "rho": 5.0}],
        "evaluation.teachers[1]: heun with 3 evaluations comes twice; leave one out",
    ),
    # keys that do not agree
    ("evaluation.scoring.splits", 30, "evaluation.scoring.splits is larger than evaluation.samples"),
    ("pairs.conditional.shards", 5, "pairs.conditional.shards: there are only 4 batches"),
    ("data.classes", 9, "data.classes: digits has 10 classes"),
    ("data.name", "cifar11", "data.name: 'cifar11' must be one of cifar10, digits, folder, photos"),
    ("teachers.conditional.network.channel_mult", [1] * 5, "cannot be halved 4 times"),
    ("teachers.conditional.network.attention_resolutions", [3], "3 is none of"),
    ("teachers.conditional.source", {"path": "x.pkl"}, "teachers.conditional.source.path: there is no x.pkl"),
    (
        "teachers.conditional",
        {"conditional": True},
        "teachers.conditional.network is missing: a teacher",
    ),
    ("features.source", {}, "features.source names no file: give it a url, or the path of a local copy"),
    ("evaluation.samples", 50, "evaluation.samples is larger than pairs.conditional.count"),
    (f"{GET}.pairs", "none", "students.get.pairs: no pairs 'none'"),
    (f"{GET}.model.heads", 3, "students.get.model.heads must divide"),
    (f"{GET}.model.patch", 3, "students.get.model.patch must divide the image size 8"),
    ("students.vit.model.conditioning", "injection", "its teacher is unconditional"),
    (f"{GET}.milestones", [4, 2], "students.get.milestones must increase"),
    (f"{GET}.headline", 3, "students.get.headline: 3 is none of its milestones [2, 4]"),
    ("paper.table2", [{"student": "x"}], "paper.table2[0].student: no student 'x'"),
    ("paper.table2", [{"student": "get", "step": 3}], "table2[0].step: 3 is none of the milestones"),
    (
        "paper.table2",
        [{"student": "get", "published": "GET-Tinny"}],
        "published: 'GET-Tinny' names 0 rows of the paper's table 2; there are GET-Base,",
    ),
    ("paper.table4", [{"student": "get"}, {"student": "vit"}], "table4[0].student: get is no vit"),
    ("paper.versus", [{"get": "get", "vit": "other"}], "paper.versus[0].vit: no student 'other'"),
    ("paper.versus", [{"get": "vit", "vit": "vit"}], "paper.versus[0].get: vit is no get"),
    ("paper.figure4.conditional", "vit", "paper.figure4.conditional: vit is unconditional"),
    ("pairs.conditional.teacher", "x", "pairs.conditional.teacher: no teacher 'x'"),
    (f"{GET_TRAINING}.pairs", 41, "get.training.pairs is larger than pairs.conditional.count"),
    ("students.vit.training.implicit", True, "vit.training.implicit: only a GET has a fixed point"),
    (
        f"{GET_TRAINING}",
        {**LEARNING, "implicit": True, "compile": True},
        "get.training.compile goes with unrolled gradients",
    ),
    ("students.get-2-pairs", None, "students.get-2-pairs: `studies` makes one of that name; choose another"),
    ("studies.trained", "vit", "studies.trained: vit must be a GET that is trained here"),
    ("studies.sampled", ["x"], "studies.sampled: no student 'x'"),
    ("studies.pairs", [60, 20], "studies.pairs must increase"),
    ("studies.lower_lr", 1.0, "studies.lower_lr must be below"),
    (f"{GET_TRAINING}.loss_decay", 0, "studies.trained: get must have all states"),
    ("jobs", {"sample": {"nodes": 2}}, "jobs.sample.nodes must be 1: only training"),
    (
        "jobs",
        {"student": {"nodes": 2, "gpu": 3}},
        "jobs.student.gpu: 3 GPUs cannot be shared",
    ),
    # objectives and losses that there are not
    (
        "students.u",
        unet({"objective": "gan"}),
        "u.training.objective: 'gan' must be one of consistency, pairs,",
    ),
    ("students.u", unet({"objective": ""}), "students.u.training.objective: '' must be one of consistency,"),
    (
        "students.u",
        unet({"objective": 3}),
        "training.objective: it must be a valid string; there is 3; in quotes",
    ),
    (
        "students.u",
        unet({"objective": ["pairs"]}),
        "u.training.objective: it must be a valid string; there is",
    ),
    (
        "students.u",
        unet({"loss": "l3"}),
        "students.u.training.loss.name: 'l3' must be one of l1, l2, lpips,",
    ),
    (
        GET_TRAINING,
        {**LEARNING, "loss": {"name": "l3"}},
        "get.training.loss.name: 'l3' must be one of l1, l2,",
    ),
    ("students.u", unet({"loss": {"c": 0.1}}), "students.u.training.loss.name is missing"),
    ("students.u", unet({"loss": 1}), "students.u.training.loss: keys and values should be where there is 1"),
    # their keys
    (
        "students.u",
        unet({**CD, "levls": 3}),
        "students.u.training.levls: there is no such key; was levels meant?",
    ),
    (
        "students.u",
        unet({**CD, "bacth": 3}),
        "students.u.training.bacth: there is no such key; was batch meant?",
    ),
    ("students.u", unet({3: 4}), "students.u.training.3: there is no such key; there are batch, lr,"),
    (
        f"{GET_TRAINING}.levels",
        18,
        "levels goes with students.get.training.objective: consistency; name it, or leave the key out",
    ),
    (
        "students.u",
        unet({**CD, "phase": 2}),
        "u.training.phase goes with students.u.training.objective: progressive;",
    ),
    (
        "students.u",
        unet({**CD, "loss_decay": 0.5}),
        "loss_decay goes with students.u.training.objective: pairs;",
    ),
    (
        "students.u",
        unet({**CT, "implicit": True}),
        "implicit goes with students.u.training.objective: pairs; name",
    ),
    ("students.u", unet({**CD, "target_ema": 1.0}), "target_ema is 1.0; it must be from 0 to 0.999999"),
    ("students.u", unet({**CD, "levels": 18.0}), "training.levels is 18.0; it must be of type int; write 18"),
    (
        "students.u",
        unet({**CD, "schedule": "stages"}),
        "u.training.schedule is 'stages'; it must be one of levels, staged",
    ),
    ("students.u", unet({**CD, "distillation": 0}), "u.training.distillation is 0; it must be of type bool"),
    (
        "students.u",
        unet({**PD, "start": 6}),
        "students.u.training.start is 6; it must be one of 2, 4, 8, 16,",
    ),
    (
        "students.u",
        unet({**PD, "start": 4.0}),
        "students.u.training.start is 4.0; it must be one of 2, 4, 8,",
    ),
    (
        "students.u",
        unet({**PD, "phase": None}),
        "students.u.training.phase is missing; it needs start (or not), phase",
    ),
    (
        "students.u",
        unet({"loss": {"name": "l1", "c": 1.0}}),
        "training.loss.c: there is no such key; there are name",
    ),
    (
        "students.u",
        unet({"loss": {"name": "pseudo_huber", "c": 0}}),
        "loss.c is 0; it must be from 1e-08 to 100",
    ),
    (
        "students.u",
        unet({"loss": {"name": "pseudo_huber", "c": "1e-3"}}),
        "students.u.training.loss.c is '1e-3'; it must be of type float; write 0.001",
    ),
    # what they go with
    (
        f"{GET_TRAINING}.objective",
        "reflow",
        "objective: reflow evaluates a network at noise levels, which a get has not",
    ),
    ("students.vit.training", {**LEARNING, **CD}, "which a vit has not; it wants a unet"),
    (
        "students.u",
        unet({**PD, "init": None}),
        "students.u.training.init must be teacher: progressive starts from its",
    ),
    (
        "students.u",
        unet({"init": "random"}),
        "students.u.training.init: it must be 'teacher'; there is 'random'",
    ),
    (
        "students.u",
        unet({"init": "teacher"}, {"network": {**NETWORK, "model_channels": 12}}),
        "students.u.training.init: students.u.model.network must be teachers.conditional.network",
    ),
    (
        f"{GET_TRAINING}.init",
        "teacher",
        "training.init: only a unet has the network of a teacher; leave it out",
    ),
    (
        "students.u",
        unet(CD, {"conditioning": "none"}),
        "students.u.model.conditioning must not be none: teachers.conditional sees the class, and the student"
        " asks it (consistency); write embedding, or name other students.u.pairs",
    ),
    (
        "students.u",
        unet({"init": "teacher"}, {"conditioning": "none"}),
        "sees the class, and the student starts from it;",
    ),
    (
        "students.u",
        unet(CD, pairs="unconditional"),
        "u.model.conditioning must be none: its teacher is unconditional",
    ),
    (
        "students.u",
        unet({**CT, "pairs": 20}),
        "students.u.training.pairs: consistency learns from no pairs; leave it out",
    ),
    (f"{GET_TRAINING}.accumulate", 3, "get.training.accumulate must divide students.get.training.batch (16)"),
    (
        f"{GET_TRAINING}.accumulate",
        0,
        "get.training.accumulate: it must be greater than or equal to 1; there is 0",
    ),
    # the network
    (
        "students.u",
        unet(model={"network": None}),
        "students.u.model.network is missing; it needs conditioning, network,",
    ),
    (
        f"{GET}.model.network",
        NETWORK,
        "students.get.model.network: there is no such key; there are conditioning, patch,",
    ),
    ("students.u", unet(model={"form": "velocity"}), "students.u.model.form: there is no such key"),
    (
        "students.u",
        unet(model={"sigma_min": 0.0}),
        "students.u.model: sigma_min must be above 0 and below sigma_max",
    ),
    (
        "students.u",
        unet(model={"sigma_max": 0.001}),
        "students.u.model: sigma_min must be above 0 and below sigma_max",
    ),
    (
        "students.u",
        unet(model={"sigma_max": "80"}),
        "u.model.sigma_max is '80'; it must be of type float; write 80.0",
    ),
    (
        "students.u",
        unet(model={"conditioning": "injection"}),
        "is 'injection'; it must be one of none, embedding",
    ),
    (
        "students.u",
        unet(model={"network": {**NETWORK, "attention_resolutions": [3]}}),
        "students.u.model.network.attention_resolutions: 3 is none of [8]",
    ),
    (
        "students.u",
        unet(model={"network": {**NETWORK, "channel_mult": [1] * 5}}),
        "students.u.model.network.channel_mult: an image of size 8 cannot be halved 4 times",
    ),
]


@pytest.mark.parametrize(("key", "value", "message"), WRONG, ids=lambda part: str(part)[:40])
def test_errors_name_the_key(key: str, value: Any, message: str, edit: Callable[..., Config]) -> None:
    edited = edit(value, *key.split("."))
    if value is None:
        edited["students"]["get-2-pairs"] = edited["students"]["get"]
        edited["studies"]["pairs"] = [2, 60]
    with pytest.raises(ConfigError) as caught:
        load(edited)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


RIGHT = {
    "pairs": unet({"loss": "l2", "init": "teacher"}),
    "reflow": unet({"objective": "reflow", "distil_after": 1, "accumulate": 2}),
    "distillation": unet({**CD, "loss": {"name": "pseudo_huber", "c": 0.01}}),
    "training": unet(CT, {"conditioning": "none", "sigma_max": 10.0}),
    "unconditional": unet({**CD, "init": "teacher"}, {"conditioning": "none"}, pairs="unconditional"),
    "progressive": unet({**PD, "start": 4}),
    "get": {**read("tests/config.yaml")["students"]["get"], "training": {**LEARNING, "loss": "pseudo_huber"}},
}


@pytest.mark.parametrize("name", RIGHT)
def test_students_of_every_objective_and_loss(name: str, edit: Callable[..., Config]) -> None:
    """The schema takes them, too, and settings say the same again (the plan reads them)."""
    given = edit(RIGHT[name], "students", "u")
    experiment = load(given)
    assert load(experiment.config.settings()).config == experiment.config
    jsonschema.validate(json.loads(json.dumps(given)), json.loads(SCHEMA.read_text()))


@pytest.mark.parametrize("path", CONFIGS)
def test_the_schema_takes_the_configs(path: str) -> None:
    jsonschema.validate(json.loads(json.dumps(read(path))), json.loads(SCHEMA.read_text()))


def test_the_schema_takes_a_loss_by_its_name(edit: Callable[..., Config]) -> None:
    for loss in ("l2", {"name": "pseudo_huber", "c": 0.01}):
        config = edit({**LEARNING, "loss": loss}, *GET_TRAINING.split("."))
        jsonschema.validate(config, json.loads(SCHEMA.read_text()))


def test_tables_without_students_are_left_out() -> None:
    photos = load(read("workflow/config/photos.yaml"))
    assert contents.tables(photos) == ["table1"]
    assert contents.summary(photos)["scope"].endswith(
        "Left out, as the config lists no rows of them: Table 2, Table 3, Table 4, Table 5, Table 6."
    )
    assert "Left out" not in contents.summary(load(read("config.yaml")))["scope"]


def test_the_schema_is_that_of_the_typed_config() -> None:
    assert SCHEMA.read_text() == schema_text(), f"write it again: python -m get.experiment.schema {SCHEMA}"


def test_the_schema_describes_every_key() -> None:
    schema = json.loads(SCHEMA.read_text())
    kinds = {"Config": schema, **schema["$defs"]}
    properties = {f"{kind}.{key}": part for kind in kinds for key, part in kinds[kind]["properties"].items()}
    assert len(properties) > 100
    undescribed = [key for key, part in properties.items() if not part.keys() & {"description", "$ref"}]
    assert undescribed == []


@pytest.mark.parametrize("path", CONFIGS)
def test_settings_hold_defaults_and_what_the_file_says(path: str) -> None:
    written, loaded = read(path), load(read(path)).config.settings()

    def assert_holds(found: Any, given: Any, where: str) -> None:
        if where.endswith(".loss") and isinstance(given, str):
            given = {"name": given}
        if isinstance(given, dict):
            for key in given:
                assert_holds(found[key], given[key], f"{where}.{key}")
        elif isinstance(given, list) and given and isinstance(given[0], dict):
            for position, part in enumerate(given):
                assert_holds(found[position], part, f"{where}[{position}]")
        else:
            assert (found, type(found)) == (given, type(given)), where

    assert_holds(loaded, written, "config")
    for part in ("students", "teachers", "pairs"):
        assert set(loaded[part]) == set(written[part])
    training = next(iter(loaded["students"].values()))["training"]
    assert training["weight_decay"] == 0.0
    assert "implicit" not in training
    assert load(loaded).config == load(written).config


def test_the_fingerprints_are_those_of_version_0_1_0() -> None:
    """Results of that version stay valid: the very texts of settings (but learning rates), names of pairs."""
    paper, default = load(read("workflow/config/cifar10.yaml")), load(read("config.yaml"))
    assert {name: default.pairs_identity(name) for name in default.config.pairs} == {
        "conditional": "f2216eebedcdefce",
        "unconditional": "0319c35a2ad585e5",
    }
    assert settings_text(default, "students/vit-16") == (
        '{"model":{"conditioning":"injection","depth":3,"family":"vit","heads":1,"patch":2,"width":16},'
        '"pairs":"f2216eebedcdefce","training":{"batch":64,"checkpointing":false,"clip":1.0,"compile":false,'
        '"ema":0.999,"ema_warmup":true,"loss_decay":0.8,"lr":0.032,"precision":"float32","warmup":200,'
        '"weight_decay":0.0}}'
    )
    assert settings_text(default, "sampling/get-16/700") == (
        '{"batch":500,"iterations":[],"precision":"float32","samples":5000}'
    )
    assert paper.pairs_identity("unconditional") == "03fdde81b7d8cdf1"
    costs = json.loads(settings_text(default, "costs"))["students"]["vit-16"]
    assert costs.keys() == {"model", "training"}
    assert costs["training"] == {"batch": 64, "clip": 1.0, "compile": False, "precision": "float32"}


def texts_of(student: Config, edit: Callable[..., Config]) -> list[str]:
    """What decides the weights of a student, and its costs."""
    experiment = load(edit(student, "students", "u"))
    return [settings_text(experiment, name) for name in ("students/u", "costs")]


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ({}, {"objective": "pairs", "loss": "l1", "loss_decay": 0.8, "checkpointing": False}),
        ({}, {"loss": {"name": "l1"}}),
        ({}, dict.fromkeys(("objective", "loss", "init", "loss_decay", "checkpointing", "implicit"))),
        ({"loss": "l2"}, {"objective": "pairs", "loss": {"name": "l2"}}),
        ({"loss": "pseudo_huber"}, {"loss": {"name": "pseudo_huber", "c": 0.00054}}),
        ({}, {"prefetch": 3, "accumulate": 4}),
        ({**CT}, {"prefetch": 3, "accumulate": 4}),
        ({**CT}, {"loss": "pseudo_huber", "levels": 18, "double_every": None, "schedule": None}),
    ],
    ids=str,
)
def test_what_changes_no_number_changes_no_fingerprint(
    given: Config, written: Config, edit: Callable[..., Config]
) -> None:
    """Defaults that are written out, empty keys, and how a batch is made ready and computed."""
    assert texts_of(unet({**given, **written}), edit) == texts_of(unet(given), edit)


def test_defaults_of_an_objective_are_in_its_settings(edit: Callable[..., Config]) -> None:
    """So that others, one day, train these students anew; those of the network are in checkpoints, too."""
    student, costs = map(json.loads, texts_of(unet(CD), edit))
    assert student == {
        "images": student["images"],
        "teacher": student["teacher"],
        "model": {
            "family": "unet", "conditioning": "embedding", "network": {**NETWORK, "augment_dim": 0},
            "sigma_min": 0.002, "sigma_max": 80.0,
        },
        "training": {
            **LEARNING, "warmup": 0, "weight_decay": 0.0, "clip": None, "ema_warmup": False,
            "precision": "float32", "compile": False, "objective": "consistency",
            "loss": {"name": "pseudo_huber", "c": 0.00054}, "distillation": True, "target_ema": 0.0,
            "schedule": "levels", "levels": 18, "most_levels": 1281, "density": "uniform", "stage": 10000,
            "q": 2.0, "weighting": "none",
        },
    }  # fmt: skip
    assert costs["students"]["u"]["teacher"]["model_channels"] == 8
    for change in (
        {"levels": 19},
        {"loss": "l2"},
        {"distillation": False},
        {"loss": {"name": "pseudo_huber", "c": 1.0}},
    ):
        for ours, theirs in zip(
            texts_of(unet({**CD, **change}), edit), texts_of(unet(CD), edit), strict=True
        ):
            assert ours != theirs


@pytest.mark.parametrize(
    ("training", "needs"),
    [
        ({}, {"manifest": "pairs"}),
        ({"init": "teacher"}, {"manifest": "pairs", "teacher": "teacher"}),
        ({"objective": "reflow"}, {"manifest": "pairs"}),
        (CD, {"images": "images", "teacher": "teacher"}),
        (CT, {"images": "images"}),
        ({**CT, "init": "teacher"}, {"images": "images", "teacher": "teacher"}),
        (PD, {"images": "images", "teacher": "teacher"}),
    ],
    ids=str,
)
def test_a_student_is_given_what_its_objective_needs(
    training: Config, needs: dict[str, str], edit: Callable[..., Config]
) -> None:
    """Files, and in its settings the fingerprints of what they are made from, which an edit changes."""
    places = {
        "manifest": "results/pairs/conditional/manifest.json",
        "images": "results/data/images.h5",
        "teacher": "results/teachers/conditional.safetensors",
    }
    experiment = load(edit(unet(training), "students", "u"))
    assert experiment.learned_from("u") == {name: places[name] for name in needs}
    settings = json.loads(settings_text(experiment, "students/u"))
    assert settings.keys() == {"model", "training", *needs.values()}
    edits = {
        "pairs": (41, "pairs", "conditional", "count"),
        "teacher": (9, "teachers", "conditional", "steps"),
        "images": (0.3, "data", "test_fraction"),
    }
    for name, changed in (("pairs", {"pairs"}), ("teacher", {"pairs", "teacher"}), ("images", {*edits})):
        edited = edit(*edits[name])
        edited["students"]["u"] = unet(training)
        found = json.loads(settings_text(load(edited), "students/u"))
        assert {key for key in settings if found[key] != settings[key]} == changed & {*needs.values()}


def test_training_curves_are_told_the_loss_where_it_is_not_the_papers(edit: Callable[..., Config]) -> None:
    """Those of the paper's loss, named or not, have the settings of version 0.1.0."""

    def entry(**change: Any) -> dict[str, Any]:
        config = edit({**LEARNING, **change}, *GET_TRAINING.split("."))
        found = json.loads(settings_text(load(config), "paper/training-curves"))["histories"]
        assert found[1].keys() == {"label", "family", "conditional", "histories"}
        return {key: value for key, value in found[0].items() if key not in found[1]}

    assert entry() == entry(loss="l1") == entry(loss={"name": "l1"}, objective="pairs") == {}
    assert entry(loss={"name": "pseudo_huber", "c": 0.01}) == {"loss": "pseudo-Huber"}


def test_training_curves_are_told_the_objective_where_it_is_not_the_papers(cifar_config: Config) -> None:
    config = json.loads(json.dumps(cifar_config))
    network = {"sigma_data": 0.5, "model_channels": 4, "channel_mult": [1], "blocks": 1, "dropout": 0.0}
    config["students"]["flow"] = {
        "label": "flow",
        "pairs": "unconditional",
        "model": {
            "family": "unet",
            "conditioning": "none",
            "network": {**network, "attention_resolutions": []},
        },
        "training": {"batch": 2, "lr": 1e-3, "ema": 0.9, "objective": "reflow"},
        "milestones": [1],
    }
    found = json.loads(settings_text(load(config), "paper/training-curves"))["histories"]
    assert {key: found[-1][key] for key in ("label", "loss", "objective")} == {
        "label": "flow", "loss": "L2", "objective": "reflow",
    }  # fmt: skip
    assert not any({"loss", "objective"} & entry.keys() for entry in found[:-1])


def test_numbers_stay_as_they_are_written(edit: Callable[..., Config]) -> None:
    """80 and 80.0 were two fingerprints in 0.1.0, and are."""
    ours = load(edit(1, *f"{GET_TRAINING}.clip".split(".")))
    assert '"clip":1,' in settings_text(ours, "students/get")
    assert '"clip":1.0,' in settings_text(load(edit(1.0, *f"{GET_TRAINING}.clip".split("."))), "students/get")


@pytest.mark.parametrize("name", ["heun", None])
def test_the_default_sampler_need_not_be_named(name: str | None, edit: Callable[..., Config]) -> None:
    given = edit(name, "pairs", "conditional", "sampler", "name")
    identities = {load(config).pairs_identity("conditional") for config in (given, read("tests/config.yaml"))}
    assert len(identities) == 1


def test_the_order_of_keys_changes_no_fingerprint(config: Config) -> None:
    turned = json.loads(json.dumps(config), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    ours, theirs = load(config), load(turned)
    assert ours.pairs_identity("conditional") == theirs.pairs_identity("conditional")
    for path in ("students/get", "scoring", "costs"):
        assert settings_text(ours, path) == settings_text(theirs, path)


@pytest.mark.parametrize("path", CONFIGS)
def test_all_that_is_shown_has_caption_and_title(path: str) -> None:
    experiment = load(read(path))
    for name in (*contents.TABLES, *contents.FIGURES, *contents.FIGURE4):
        assert contents.caption(experiment, name)
        assert contents.title(experiment, name)
    for name in ("same-noise", "costs", "reproduction"):
        assert contents.caption(experiment, name)
    for name in studies.NAMES:
        assert studies.caption(experiment, name)
        assert studies.load(name).title


def test_it_needs_neither_torch_nor_snakemake() -> None:
    code = """
import sys, yaml
sys.modules["torch"] = sys.modules["snakemake"] = sys.modules["pandas"] = None
from get.studies import load_experiment as load
load(yaml.safe_load(open("config.yaml")))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
