"""A `python` that starts at once: each program is a fork of one process that has the large packages imported.

A run of Snakemake starts a Python for each job, which first takes two seconds to import PyTorch and the like.
The package itself is not imported beforehand: each program takes the one that its environment names.
A test that claims something of the process itself (what it imports, what kills it) takes `sys.executable`.
"""

import atexit
import gc
import importlib
import marshal
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from types import ModuleType

LARGE = (
    "h5py", "jinja2", "matplotlib.pyplot", "pandas", "safetensors.torch", "sklearn.datasets", "snakemake.cli",
    "torch_fidelity", "torchvision",
)  # fmt: skip
CLIENT = """#!{python} -IS
import marshal, os, signal, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [b"."], [0, 1, 2])
    server.sendall(marshal.dumps((os.getcwd(), sys.argv[1:], dict(os.environ))))
    server.shutdown(socket.SHUT_WR)
    program = int(server.recv(8))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.kill(program, number))
    os._exit(int(server.recv(4) or 1))
"""


@cache
def start() -> tuple[subprocess.Popen[str], str]:
    """Start the process to fork from, which ends with this one; return it and the path of the `python`."""
    command, pipe = [sys.executable, __file__], subprocess.PIPE
    server = subprocess.Popen(command, stdin=pipe, stdout=pipe, encoding="utf-8")
    assert server.stdout
    return server, server.stdout.readline().strip()


def python() -> str:
    """Return the path of a `python` that knows `-m`, `-c` and files, and passes SIGINT and SIGTERM on."""
    return start()[1]


def program(arguments: list[str]) -> tuple[Callable[[], object], str]:
    """Return what runs a command line of Python, and the first of the folders that it imports from."""
    match arguments:
        case ["-m", module, *rest]:
            sys.argv = [module, *rest]
            return lambda: runpy.run_module(module, run_name="__main__", alter_sys=True), os.getcwd()
        case ["-c", code, *rest]:
            sys.argv, sys.modules["__main__"] = ["-c", *rest], ModuleType("__main__")
            return lambda: exec(code, vars(sys.modules["__main__"])), ""
    sys.argv = arguments
    return lambda: runpy.run_path(arguments[0], run_name="__main__"), str(Path(arguments[0]).parent)


def status_of(call: Callable[[], object]) -> int:
    """Run a program, and return its exit status."""
    try:
        call()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def become(connection: socket.socket, path: list[str], executable: str) -> int:
    """Run what a client asks for, with its files, folder and environment; return the exit status."""
    _, files, *_ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rb") as stream:
        folder, arguments, environment = marshal.loads(stream.read())
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace")
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.modules["torch"].set_num_threads(int(environment.get("OMP_NUM_THREADS", 1)))
    sys.executable = executable
    call, first = program(arguments)
    sys.path[:] = [first, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)), *path]
    status = status_of(call)
    # as an interpreter that ends
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for output in (sys.stdout, sys.stderr):
        with suppress(ValueError):  # it is closed
            output.flush()
    return status


def serve(folder: Path) -> None:
    """Fork for each client, until the input of this process ends."""
    client, address = folder / "python", str(folder / "socket")
    client.write_text(CLIENT.format(python=sys.executable, address=address), encoding="utf-8")
    client.chmod(0o755)
    listener = socket.create_server(address, family=socket.AF_UNIX, backlog=100)
    ended, told = os.pipe()  # has a byte where a program has ended
    os.set_blocking(told, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(told)
    clients: dict[int, socket.socket] = {}
    print(client, flush=True)
    while sys.stdin not in (ready := select.select([listener, ended, sys.stdin], [], [])[0]):
        if ended in ready:
            os.read(ended, 100)
        if listener in ready:
            connection, _ = listener.accept()
            if not (program := os.fork()):
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os._exit(become(connection, sys.path[1:], str(client)))
            connection.send(f"{program:8}".encode())
            clients[program] = connection
        while clients and (found := os.waitpid(-1, os.WNOHANG))[0]:
            status = os.waitstatus_to_exitcode(found[1])
            with clients.pop(found[0]) as connection, suppress(BrokenPipeError):
                connection.send(str(status if status >= 0 else 128 - status).encode())


if __name__ == "__main__":
    for name in LARGE:
        importlib.import_module(name)
    importlib.import_module("torch").set_num_threads(1)
    gc.freeze()  # or each fork would copy what it holds
    place = Path(mkdtemp())
    serve(place)
    shutil.rmtree(place)
    os._exit(0)  # without the farewells of the libraries
