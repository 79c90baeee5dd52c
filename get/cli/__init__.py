"""The command `get` (also `python -m get`): the stages that need a process of their own, and single files.

Training on several processes: `torchrun --standalone --nproc-per-node 8 -m get train-student ...`, on several
nodes with torchrun's --nnodes and --rdzv-endpoint. Each process ends with the exit code of its error, which
torchrun prints; torchrun's own is 1 for all of them.

Each module adds the commands of one kind. What takes long to import (torch) is imported by the command that
runs, not before.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from typing import NoReturn

from get.cli import (
    compare,
    demo,
    export,
    forget,
    imports,
    info,
    init,
    plan,
    sample,
    scores,
    status,
    training,
    tuned,
)
from get.cli.streams import checked_streams
from get.runtime.log import log, logging_to
from get.runtime.remedies import explain
from get.storage.errors import UserError

MODULES = (  # in the order of the help
    init, sample, compare, scores, info, status, forget, plan, tuned, export, demo, imports, training,
)  # fmt: skip
STOPPED = 130  # the exit code after Ctrl-C, as of every program


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="get",
        description="One-step diffusion distillation with GET.",
        epilog="`get COMMAND --help` has the options, and examples. Exit codes: 0 done; 2 something that the "
        "message names is to be put right; 130 stopped; 141 nobody reads on; training has more "
        "(docs/failures.md).",
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for module in MODULES:
        module.add(commands)
    return top


def run() -> NoReturn:
    """Run the command line, and end the process with its exit code, at once.

    While an interpreter ends, threads of libraries can abort it (seen once in some hundred trainings under
    load): a training that had stopped as it was asked to would then count as one that failed.
    """
    os._exit(main())  # all output is flushed by then


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, or the one of the error."""
    with checked_streams():
        return _run(parser().parse_args(arguments), arguments or sys.argv[1:])


def _run(args: argparse.Namespace, given: Sequence[str]) -> int:
    """Run a command, whose arguments are `args`, and `given` as they were typed."""
    try:
        with logging_to():
            if args.threads is not None:
                import torch  # takes a second: not before the arguments are known to be fine

                from get.runtime.processes import processes_here

                torch.set_num_threads(max(1, args.threads // processes_here()))
            log.info("get %s", shlex.join(given))
            args.run(args)
    except UserError as error:
        process = f" (process {os.environ['RANK']})" if log.disabled else ""  # torchrun's, see `log.mute`
        print(f"get{process}: {explain(error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("get: stopped", file=sys.stderr)
        return STOPPED
    return 0
