"""All claims of the paper, judged on the rows of an experiment."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from get.paper.claims import Claim, corrected
from get.paper.numbers import numbers
from get.paper.orderings import (
    conditioning,
    falls_with_size,
    improves_with_iterations,
    larger_vit,
    table4_orderings,
)
from get.paper.results import Row, read_rows
from get.paper.versus import Milestones, versus
from get.storage.reading import read_json


def reproduction(
    tables: Mapping[str, Sequence[Row]],
    larger: Sequence[Row],
    cifar10: bool,
    against: Sequence[tuple[Milestones, Milestones]] = (),
) -> list[Claim]:
    """Return all claims, the orderings corrected for their number.

    Args:
        tables: the rows of each table by its number; of Table 4 the ViT and then the GET.
        larger: a GET and the larger ViT that it is said to match.
        cifar10: whether numbers compare with the paper's.
        against: the milestones of a GET and of the ViT that it is set against, for each such pair.
    """
    found = [
        *versus(against),
        *table4_orderings(tables.get("4", ())),
        *larger_vit(larger),
        *falls_with_size(tables.get("2", ())),
        *improves_with_iterations([*tables.get("2", ()), *tables.get("3", ())]),
        *conditioning(tables.get("6", ())),
        *numbers(tables, cifar10),
    ]
    return corrected(found)


def read_claims(settings: str | Path, costs: str | Path) -> list[Claim]:
    """Return the claims on the rows of a settings file.

    Raises:
        UserError: a score file, or the file of `costs`, is missing, damaged or another's.
    """
    content = read_json(settings)
    tables = {number: read_rows(rows, costs) for number, rows in content["tables"].items()}
    against = [(read_rows(get, costs), read_rows(vit, costs)) for get, vit in content["versus"]]
    return reproduction(tables, read_rows(content["larger"], costs), content["cifar10"], against)
