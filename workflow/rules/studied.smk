# What `snakemake studies` adds to the config: one GET trained in other ways, and pairs for the longest of them.
STUDIES = ["states", "initial", "solvers", "gradients", "supervision", "pairs"]
SAMPLED = ["initial", "solvers"]  # those that sample GETs in other ways
STUDY = config.get("studies")
STUDIED, STUDIED_PAIRS = {}, {}


def studied(change, pairs=None):
    """The GET of the config's `studies.trained`, to its headline milestone, its training changed."""
    base = config["students"][STUDY["trained"]]
    changed = {
        "training": base["training"] | change,
        "milestones": [base.get("headline", base["milestones"][-1])],
    }
    return (
        {key: value for key, value in base.items() if key != "headline"}
        | changed
        | ({"pairs": pairs} if pairs else {})
    )


def most_pairs():
    """Pairs of which there are enough for all numbers to learn from: those of the GET, or more like them."""
    name, most = config["students"][STUDY["trained"]]["pairs"], STUDY["pairs"][-1]
    base = config["pairs"][name]
    if most <= base["count"]:
        return name
    larger = f"{name}-{most}"
    STUDIED_PAIRS[larger] = base | {"count": most, "shards": -(-base["shards"] * most // base["count"])}
    return larger


def by_pairs(count):
    """The name of the GET that learns from so many pairs."""
    return f"{STUDY['trained']}-{count}-pairs"


if STUDY:
    LAST, IMPLICIT = f"{STUDY['trained']}-last-state", f"{STUDY['trained']}-implicit"
    STUDIED[LAST] = studied({"loss_decay": 0.0})
    STUDIED[IMPLICIT] = studied({"implicit": True, "checkpointing": False, "compile": False})
    pairs = most_pairs()
    STUDIED |= {by_pairs(count): studied({"pairs": count}, pairs) for count in STUDY["pairs"]}
    for name in (*STUDIED, *STUDIED_PAIRS):
        check(
            name not in config["students"] and name not in config["pairs"],
            f"{name} is a name that `studies` uses; choose another",
        )
