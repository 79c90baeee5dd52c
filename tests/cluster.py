"""A private SLURM cluster on this machine: two nodes of two CPUs and two pretended GPUs each."""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PATH = f"{os.environ['PATH']}:/usr/sbin"  # where Debian has the daemons
DAEMONS = ("munged", "slurmctld", "slurmd")
COMMANDS = ("sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")
NODES = ("n1", "n2")

Job = dict[str, str]

CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,batch_sched_delay=0
SlurmdParameters=config_overrides
GresTypes=gpu
KillWait=10
MinJobAge=3600
ReturnToService=2
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=8000 Gres=gpu:toy:2
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=8000 Gres=gpu:toy:2
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """Return which programs of SLURM this machine lacks."""
    return [name for name in (*DAEMONS, *COMMANDS) if not shutil.which(name, path=PATH)]


class Cluster:
    """A running cluster.

    Args:
        folder: all of its files.
        environment: variables with which commands talk to it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        self.environment["PATH"] = f"{folder}/bin:{PATH}"

    def ask(self, *command: str) -> str:
        """Return what a command of SLURM prints."""
        done = subprocess.run(
            command, capture_output=True, env=self.environment, timeout=60, encoding="utf-8"
        )
        return done.stdout

    def jobs(self) -> list[Job]:
        """Return all jobs so far, with the fields of `scontrol show job`."""
        lines = self.ask("scontrol", "--oneliner", "show", "job").splitlines()
        found = (line.split() for line in lines if line.startswith("JobId="))
        return [dict(word.split("=", 1) for word in words if "=" in word) for words in found]

    def wait_until_idle(self, seconds: float = 30.0) -> None:
        """Wait until all nodes are up and without a job."""
        end = time.monotonic() + seconds
        while set(self.ask("sinfo", "--noheader", "--Node", "--format", "%T").split()) != {"idle"}:
            if time.monotonic() > end:
                logs = "".join(path.read_text(encoding="utf-8") for path in self.folder.glob("*.out"))
                raise TimeoutError(f"the private SLURM cluster is not idle after {seconds} s:\n{logs}")
            time.sleep(0.2)


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Start a cluster, and stop it at the end, with all of its jobs."""
    with ExitStack() as stack:
        # not in pytest's folders: the path of a socket has at most 108 characters
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-")))
        folder.chmod(0o755)
        cluster = Cluster(folder)
        _configure(folder)
        for name, command in {
            "munged": ["munged", "--foreground", "--force", *_munge_files(folder)],
            "slurmctld": ["slurmctld", "-D"],
            **{node: ["slurmd", "-D", "-N", node] for node in NODES},
        }.items():
            stack.enter_context(_daemon(command, folder / f"{name}.out", cluster.environment))
            if name == "munged":
                _wait_for(folder / "munge.socket")
        cluster.wait_until_idle()
        stack.callback(_end_jobs, cluster)
        yield cluster


def _configure(folder: Path) -> None:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        ports = [each.getsockname()[1] for each in sockets]
    conf = CONF.format(folder=folder, host=socket.gethostname(), user=getpass.getuser(), ports=ports)
    (folder / "slurm.conf").write_text(conf, encoding="utf-8")
    for number in range(2):
        (folder / f"gpu{number}").touch()
    (folder / "gres.conf").write_text(f"Name=gpu Type=toy File={folder}/gpu[0-1]\n", encoding="utf-8")
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o600)
    # Snakemake takes SLURM's variables away from its jobs, and SLURM_CONF with them
    (folder / "bin").mkdir()
    for name in COMMANDS:
        wrapper = folder / "bin" / name
        wrapper.write_text(
            f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which(name, path=PATH)} "$@"\n',
            encoding="utf-8",
        )
        wrapper.chmod(0o755)


def _munge_files(folder: Path) -> list[str]:
    files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    return [f"--{option}={folder}/munge.{suffix}" for option, suffix in files.items()]


@contextmanager
def _daemon(command: list[str], output: Path, environment: dict[str, str]) -> Iterator[None]:
    """Run a daemon, which ends with this process too, should that be killed."""
    with open(output, "w", encoding="utf-8") as file:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command], stdout=file, stderr=file, env=environment
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _end_jobs(cluster: Cluster) -> None:
    cluster.ask("scancel", "--user", getpass.getuser())
    cluster.wait_until_idle()


def _wait_for(path: Path) -> None:
    for _ in range(100):
        if path.exists():
            return
        time.sleep(0.1)
    raise TimeoutError(f"{path} does not appear: {path.parent}/munged.out says why")
