"""Import of the weights of an extractor that is not trained here, as torch-fidelity's Inception."""

import shutil
from pathlib import Path

import torch

from get.runtime import plugins
from get.scoring.extractors import PACKAGE
from get.storage.atomic import atomic
from get.storage.errors import UserError
from get.storage.hashing import verified_sha256


def import_extractor(*, name: str, source: str | Path, sha256: str | None, output: str | Path) -> None:
    """Write the weights at `source` of the extractor `name` to `output`, after checking that it reads them.

    Of a module that has `only_weights`, what that returns is written: it reads a pickle without running it.

    Raises:
        UserError: the checksum differs, or the extractor does not take the file.
    """
    module = plugins.load(PACKAGE, name, "features.extractor")
    verified_sha256(source, sha256)
    weights = module.only_weights(source) if hasattr(module, "only_weights") else None
    with atomic(output) as temporary:
        if weights is None:
            shutil.copyfile(source, temporary)
        else:
            torch.save(weights, temporary)
        try:
            module.load(temporary, torch.device("cpu"))
        except UserError as error:
            raise UserError(str(error).replace(str(temporary), str(source))) from None
