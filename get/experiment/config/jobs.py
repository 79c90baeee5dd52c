"""Key `jobs`: what each kind of job asks for."""

from get.experiment.config.errors import check
from get.experiment.config.keys import Count, Keys, Natural


class Job(Keys):
    """What a job asks for."""

    threads: Count = 1
    """CPU threads, of each node."""
    mem_mb: Count = 2000
    """Memory in MB, of each node."""
    runtime: Count = 60
    """Limit of the run time in minutes."""
    gpu: Natural = 0
    """GPUs of one job; 0 computes on the CPU, and training takes a process for each."""
    nodes: Count = 1
    """Nodes of a SLURM cluster that one training shares, and its GPUs with it, in equal parts; without GPUs
    it takes a process on each."""


class Jobs(Keys):
    """What each kind of job asks for."""

    light: Job = Job()
    """Settings, tables, figures, imports, downloads."""
    classifier: Job = Job()
    """Training of the extractor of features (a classifier, an autoencoder)."""
    teacher: Job = Job()
    """Training of a teacher."""
    pairs: Job = Job()
    """Sampling of a shard of pairs."""
    student: Job = Job()
    """Training of a student, from one milestone to the next."""
    sample: Job = Job()
    """Sampling of a student, by the job that scores it, which has the larger threads, memory and GPUs of
    `sample` and `score`, and the sum of their minutes."""
    score: Job = Job()
    """Scoring, and the reference statistics."""
    costs: Job = Job()
    """Measuring of costs; without a cluster it waits for all cores, to be alone."""

    def by_kind(self) -> dict[str, Job]:
        """Return what each kind of job asks for."""
        return {kind: getattr(self, kind) for kind in type(self).model_fields}


def check_job(job: Job, kind: str) -> None:
    """Check what a kind of job asks for."""
    check(
        job.nodes == 1 or kind in ("teacher", "student"),
        f"jobs.{kind}.nodes must be 1: only training (teacher, student) runs on several nodes",
    )
    check(
        job.gpu % job.nodes == 0,
        f"jobs.{kind}.gpu: {job.gpu} GPUs cannot be shared equally by {job.nodes} nodes",
    )
