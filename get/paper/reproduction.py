"""All claims of the paper, judged on the rows of an experiment."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from get.paper.claims import Claim
from get.paper.numbers import numbers
from get.paper.orderings import (
    conditioning,
    falls_with_size,
    improves_with_iterations,
    larger_vit,
    table4_orderings,
)
from get.paper.results import Row, read_rows
from get.storage.reading import read_json


def reproduction(tables: Mapping[str, Sequence[Row]], larger: Sequence[Row], cifar10: bool) -> list[Claim]:
    """Return all claims.

    Args:
        tables: the rows of each table by its number; of Table 4 the ViT and then the GET.
        larger: a GET and the larger ViT that it is said to match.
        cifar10: whether numbers compare with the paper's.
    """
    return [
        *table4_orderings(tables.get("4", ())),
        *larger_vit(larger),
        *falls_with_size(tables.get("2", ())),
        *improves_with_iterations([*tables.get("2", ()), *tables.get("3", ())]),
        *conditioning(tables.get("6", ())),
        *numbers(tables, cifar10),
    ]


def read_claims(settings: str | Path, costs: str | Path) -> list[Claim]:
    """Return the claims on the rows of a settings file.

    Raises:
        UserError: a score file, or the file of `costs`, is missing, damaged or another's.
    """
    content = read_json(settings)
    tables = {number: read_rows(rows, costs) for number, rows in content["tables"].items()}
    return reproduction(tables, read_rows(content["larger"], costs), content["cifar10"])
