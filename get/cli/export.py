"""`get export`: a student for others."""

import argparse
from pathlib import Path

from get.cli.arguments import Commands, add_command, ending, positive
from get.storage.errors import UserError

# which options are of which outputs, by the ending of --out
OF_FOLDERS = ("scores", "licence", "data", "repository")
OF_GRAPHS = ("rule", "iterations", "initial", "classes")
OPTIONS = {"": OF_FOLDERS, ".pth": (), ".pt2": OF_GRAPHS, ".onnx": (*OF_GRAPHS, "weights")}
PRECISIONS = ("float32", "float16", "int8")  # of the weights in an .onnx


def export(args: argparse.Namespace) -> None:
    """Run `get export`."""
    kind = args.out.suffix
    for option in {name for names in OPTIONS.values() for name in names} - {*OPTIONS[kind]}:
        if getattr(args, option) is not None:
            fitting = " or ".join(
                suffix or "a folder" for suffix, names in OPTIONS.items() if option in names
            )
            raise UserError(f"--{option} is of {fitting}; leave it out, or name such an --out")
    print(f"{args.out}: {(_graph if kind in ('.onnx', '.pt2') else _weights)(args)}")


def _weights(args: argparse.Namespace) -> str:
    """Write a folder or a .pth; returns what it is."""
    from get.export.card import Said
    from get.export.folder import export_folder
    from get.export.published import export_published

    if args.out.suffix == ".pth":
        export_published(weights=args.checkpoint, output=args.out)
        return "as the paper's code evaluates it (no state of an optimiser)"
    said = Said(licence=args.licence, data=args.data, repository=args.repository)
    export_folder(weights=args.checkpoint, scores=args.scores, said=said, output=args.out)
    return f"weights, config, a picture of samples, and a card, {args.out}/README.md"


def _graph(args: argparse.Namespace) -> str:
    """Write a .pt2 or an .onnx; returns how it compares with torch."""
    from get.export.graph import Options
    from get.export.onnx_file import export_onnx
    from get.export.program import export_program

    given = {name: getattr(args, name) for name in ("rule", "iterations", "initial")}
    options = Options(**{name: value for name, value in given.items() if value is not None})
    shared = {"weights": args.checkpoint, "options": options, "names": args.classes or [], "output": args.out}
    if args.out.suffix == ".pt2":
        return str(export_program(**shared))
    return str(export_onnx(**shared, precision=args.weights or PRECISIONS[0]))


def add(commands: Commands) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "export",
        export,
        "write a student for others: a folder for hubs, a graph (ONNX, torch), or as the paper's code has it",
        "results/students/get-48/seed0/2000.safetensors --out get-48"
        " --scores results/scores/students/get-48/seed0/2000.json",
        "digits/get-48 --out get-48.onnx --weights float16",
        "digits/get-48 --out get-48.pt2 --rule all",
        "student.safetensors --out student.pth",
    )
    command.add_argument("checkpoint", type=Path, help="weights of a student (.safetensors), or their folder")
    command.add_argument(
        "--out",
        type=ending(".onnx", ".pt2", ".pth", ""),
        required=True,
        help="a new folder (no ending), .onnx, .pt2 or .pth",
    )
    folder = command.add_argument_group(
        "of a folder", "left out, they are those of the folder that is exported, if it is one"
    )
    folder.add_argument("--scores", type=Path, help="its scores (.json), for the card")
    folder.add_argument("--licence", help="of the weights, for the card: mit, cc-by-nc-sa-4.0")
    folder.add_argument("--data", help="what its images are of, for the card: handwritten digits")
    folder.add_argument("--repository", help="address of the code, for the card")
    graph = command.add_argument_group("of an .onnx or .pt2")
    graph.add_argument(
        "--rule",
        help="which state is decoded: lowest-residual (if left out), last, or all, and their residuals",
    )
    graph.add_argument(
        "--iterations", type=positive, help="fixed-point iterations; left out, those trained with"
    )
    graph.add_argument("--initial", help="z_0: an input (if left out), or in the graph: shared or zeros")
    graph.add_argument("--classes", type=names, help="names of the classes: cat,dog")
    graph.add_argument(
        "--weights", choices=PRECISIONS, help="as an .onnx stores them; it computes in float32"
    )


def names(text: str) -> list[str]:
    """Parse 'cat,dog'."""
    return [name.strip() for name in text.split(",")]
