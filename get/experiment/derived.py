"""The students that studies train: one GET, its training changed in one way each; and the pairs for them."""

from typing import Any

from get.experiment.checks import check
from get.experiment.config import Config, Pairs, Student

WAYS: dict[str, dict[str, Any]] = {  # of training a GET, and what each changes
    "": {},
    "last-state": {"loss_decay": 0.0},
    "implicit": {"implicit": True, "checkpointing": False, "compile": False},
}


def derived_students(config: Config) -> dict[str, Student]:
    """Return the students that the studies of a config add, by name.

    Raises:
        ConfigError: the config has a student of such a name.
    """
    if config.studies is None:
        return {}
    studies, found = config.studies, {}
    for way, change in WAYS.items():
        found[trained_in(config, way, lower=True)] = changed(config, change | {"lr": studies.lower_lr})
        if change:
            found[trained_in(config, way, lower=False)] = changed(config, change)
    for count in studies.pairs:
        found[trained_on(config, count)] = changed(config, {"pairs": count}, pairs_for(config, count))
    _check_names("students", found, config.students)
    return found


def derived_pairs(config: Config) -> dict[str, Pairs]:
    """Return the set of pairs that the studies of a config add, where they need more than there are."""
    if config.studies is None:
        return {}
    name = config.students[config.studies.trained].pairs
    base, most = config.pairs[name], config.studies.pairs[-1]
    if most <= base.count:
        return {}
    shards = min(-(-base.shards * most // base.count), -(-most // base.sampler.batch))
    found = {pairs_for(config, most): base.model_copy(update={"count": most, "shards": shards})}
    _check_names("pairs", found, config.pairs)
    return found


def trained_in(config: Config, way: str, lower: bool) -> str:
    """Return the name of the GET trained in one of `WAYS`, at its learning rate or at the lower one."""
    assert config.studies
    return "-".join(filter(None, [config.studies.trained, way, "lower-lr" if lower else ""]))


def trained_on(config: Config, count: int) -> str:
    """Return the name of the GET that learns from so many pairs."""
    assert config.studies
    return f"{config.studies.trained}-{count}-pairs"


def pairs_for(config: Config, count: int) -> str:
    """Return the name of pairs of which there are `count`: those of the GET, or those that studies add."""
    assert config.studies
    name = config.students[config.studies.trained].pairs
    return name if count <= config.pairs[name].count else f"{name}-{config.studies.pairs[-1]}"


def changed(config: Config, change: dict[str, Any], pairs: str | None = None) -> Student:
    """Return the GET of the studies, to its headline milestone, with its training changed."""
    assert config.studies
    base = config.students[config.studies.trained]
    return base.model_copy(
        update={
            "pairs": pairs or base.pairs,
            "training": base.training.model_copy(update=change),
            "milestones": [base.shown_step],
            "headline": base.shown_step,
        }
    )


def _check_names(part: str, added: dict[str, Any], known: dict[str, Any]) -> None:
    for name in added:
        check(name not in known, f"{part}.{name}: `studies` makes one of that name; choose another")
