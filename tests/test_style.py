"""Format, lint, types and import layers, as a reader of the project may expect them."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from warm import python

BIN = Path(sys.executable).parent
FILES = ["get", "tests", "workflow/scripts", "benchmarks"]


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", *FILES],
        ["ruff", "format", "--check", *FILES],
        ["mypy"],
        ["lint-imports"],
        ["snakefmt", "--check", "Snakefile", "workflow"],
        ["snakemake", "--lint"],
        ["snakemake", "--lint", "--configfile", "workflow/config/cifar10.yaml"],
    ],
    ids=lambda command: "-".join(command[:2]),
)
def test_clean(command: list[str]) -> None:
    done = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_imports_without_snakemake() -> None:
    code = """
import sys, pkgutil, importlib, get
for name in ['snakemake', *(name for name in sys.modules if name.startswith('snakemake'))]:
    sys.modules[name] = None
for module in pkgutil.walk_packages(get.__path__, 'get.'):
    if not module.name.endswith('__main__'):
        importlib.import_module(module.name)
"""
    done = subprocess.run([python(), "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("spared", "modules"),
    [
        (
            "torch",
            "get.cli get.cli.describe get.data.download get.cli.inspection get.pairs.shards "
            "get.paper.reproduction get.paper.figures",
        ),
        ("sklearn", "get.paper.reproduction get.paper.figures get.paper.grids get.scoring.scores"),
        ("torchvision", "get.scoring.scores get.sampling.students"),
    ],
)
def test_what_takes_seconds_to_import_is_imported_where_it_is_needed(spared: str, modules: str) -> None:
    code = f"import sys; sys.modules[{spared!r}] = None; import {modules.replace(' ', ', ')}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_link_in_the_documents_leads_somewhere() -> None:
    pages = [
        path for folder in (".", "docs", "results", "benchmarks") for path in (ROOT / folder).glob("*.md")
    ]
    assert len(pages) > 14
    for page in pages:
        for link in re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


@pytest.mark.parametrize("script", sorted(ROOT.glob("workflow/scripts/*.py")), ids=lambda path: path.stem)
def test_what_a_script_imports_is_there(script: Path) -> None:
    """Types are not checked there, for Snakemake gives scripts a name of its own."""
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("get"):
            module = importlib.import_module(str(node.module))
            for name in node.names:
                assert hasattr(module, name.name) or importlib.util.find_spec(f"{node.module}.{name.name}")
