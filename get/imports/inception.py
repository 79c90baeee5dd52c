"""Import of torch-fidelity's Inception weights."""

from pathlib import Path

import torch

from get.scoring.extractors.inception import load, only_weights
from get.storage.atomic import atomic
from get.storage.errors import UserError
from get.storage.hashing import verified_sha256


def import_inception(*, source: str | Path, sha256: str | None, output: str | Path) -> None:
    """Write torch-fidelity's Inception weights at `source` to `output`, after checking them.

    Raises:
        UserError: the checksum differs, the file holds more than weights, or weights of another network.
    """
    verified_sha256(source, sha256)
    weights = only_weights(source)
    with atomic(output) as temporary:
        torch.save(weights, temporary)
        try:
            load(temporary, torch.device("cpu"))
        except UserError as error:
            raise UserError(str(error).replace(str(temporary), str(source))) from None
