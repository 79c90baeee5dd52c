"""The JSON schema of the config, with which editors complete and explain its keys.

`python -m get.experiment.schema workflow/schemas/config.schema.json` writes it.
"""

import json
import sys
from pathlib import Path
from typing import Any

from get.experiment.config import Config


def schema_text() -> str:
    """Return the schema of `Config`."""
    return json.dumps(_without_titles(Config.model_json_schema()), indent=1) + "\n"


def _without_titles(part: Any) -> Any:
    """Return a part of the schema without the titles that pydantic makes of names."""
    if isinstance(part, list):
        return [_without_titles(item) for item in part]
    if isinstance(part, dict):
        return {
            key: _without_titles(value)
            for key, value in part.items()
            if not (key == "title" and isinstance(value, str))
        }
    return part


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(schema_text())
