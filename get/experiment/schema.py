"""The JSON schema of the config, with which editors complete and explain its keys.

`python -m get.experiment.schema workflow/schemas/config.schema.json` writes it.
"""

import json
import sys
from pathlib import Path
from typing import Any

from get.experiment.config import Config


def schema_text() -> str:
    """Return the schema of `Config`: a line for each model, and for each key at the top."""
    schema = _without_titles(Config.model_json_schema())
    parts = [f'"$defs": {_lines(schema.pop("$defs"))}', f'"properties": {_lines(schema.pop("properties"))}']
    parts += [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in schema.items()]
    return "{" + ",\n".join(parts) + "}\n"


def _lines(part: dict[str, Any]) -> str:
    return "{\n" + ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in part.items()) + "}"


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
    Path(sys.argv[1]).write_text(schema_text(), encoding="utf-8")
