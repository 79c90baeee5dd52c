"""An experiment: what its config says, and what follows from it for the jobs."""

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from get.experiment.config import Config
from get.experiment.config.data import Data
from get.experiment.config.errors import check
from get.experiment.config.files import Source, sources
from get.experiment.config.students import Student
from get.experiment.config.teachers import Pairs, Teacher
from get.networks.published import network_in
from get.pairs.indices import HELD_OUT, shard_range
from get.storage.hashing import fingerprint
from get.student import objectives
from get.teacher import samplers

HELD_OUT_PART = "held-out"


class Experiment:
    """A config that has been checked (see `loading.load`).

    Args:
        config: the config.
        students, pairs: those that studies add to it (see `get.studies.load_experiment`).

    Attributes:
        results: the folder of results.
        jobs: what each kind of job asks for.
        students: those that are not disabled; with those of studies in `all_students`.
        pairs: sets of pairs, with those of studies.
        used_pairs: names of the sets that any student learns from.
    """

    def __init__(
        self, config: Config, students: Mapping[str, Student] = {}, pairs: Mapping[str, Pairs] = {}
    ) -> None:
        self.config = config
        self.results = os.path.normpath(config.results)
        self.jobs = config.jobs.by_kind()
        self.teachers: dict[str, Teacher] = config.teachers
        self.students = {name: student for name, student in config.students.items() if not student.disabled}
        self.all_students = {**self.students, **students}
        self.pairs: dict[str, Pairs] = {**config.pairs, **pairs}
        learned = {student.pairs for student in self.students.values()}
        self.used_pairs = [name for name in self.pairs if name in learned]

    # ------------------------------------------------------------------------------------ students and rows

    @property
    def imported_students(self) -> list[str]:
        """The students that are imported, not trained."""
        return [name for name, student in self.students.items() if student.source]

    @property
    def imported_teachers(self) -> list[str]:
        """The teachers that are imported, not trained."""
        return [name for name, teacher in self.teachers.items() if teacher.source]

    def teacher_of(self, student: Student) -> Teacher:
        """Return the teacher whose pairs a student learns from."""
        return self.teachers[self.pairs[student.pairs].teacher]

    def network_of(self, teacher: Teacher) -> dict[str, Any]:
        """Return the description of a teacher; one that is imported is taken for EDM's of that name."""
        if teacher.network:
            return teacher.network.settings() | self.shape(teacher.conditional)
        return network_in(teacher.source.file if teacher.source else "") | self.shape(teacher.conditional)

    def full_label(self, name: str) -> str:
        """Return what a student is called where those with classes and without stand together."""
        student = self.students[name]
        return student.label + ("" if student.model.conditional else ", unconditional")

    def checkpoint(self, name: str, seed: int, step: int | None = None) -> str:
        """Return the weights of a student, at its headline milestone or at another."""
        return self.run_file(name, seed, step or self.all_students[name].shown_step)

    def run_file(self, name: str, seed: int, step: int, folder: str = "", kind: str = "safetensors") -> str:
        """Return the path of what belongs to a student at a step: its weights, history, samples, scores."""
        return os.path.join(self.results, folder, f"students/{name}/seed{seed}/{step}.{kind}")

    def runs(self) -> Iterator[tuple[str, int, int]]:
        """Yield name, seed and step of every milestone of the students."""
        for name, student in self.students.items():
            for seed in student.seeds:
                for step in student.milestones:
                    yield name, seed, step

    # ------------------------------------------------------------------------------------------------ pairs

    def pairs_identity(self, name: str) -> str:
        """Return the fingerprint of all that decides which pairs there are to train on.

        How many files hold them does not.
        """
        pairs = self.pairs[name]
        made = {"pairs": pairs.settings(), "teacher": self._made(self.teachers[pairs.teacher])}
        for key in ("shards", "held_out"):
            del made["pairs"][key]
        return fingerprint({**made, "data": self._made(self.config.data), "seed": self.config.seed})

    def identity(self, student: Student, need: str) -> str:
        """Return the fingerprint of what a student learns with: its 'pairs', 'images', or 'teacher'."""
        if need == "pairs":
            return self.pairs_identity(student.pairs)
        made = {"data": self._made(self.config.data), "seed": self.config.seed}
        if need == "teacher":
            made["teacher"] = self._made(self.teacher_of(student))
        return fingerprint(made)

    def learned_from(self, name: str) -> dict[str, str]:
        """Return the files that a student learns from, by the options of `get train-student`.

        They are the 'manifest' of its pairs, the 'images', the 'teacher', and the weights of the 'loss'.
        """
        student = self.all_students[name]
        needs = set() if student.source else objectives.needs(student.training.decisive())
        files = {
            "manifest": ("pairs", f"pairs/{student.pairs}/manifest.json"),
            "images": ("images", "data/images.h5"),
            "teacher": ("teacher", f"teachers/{self.pairs[student.pairs].teacher}.safetensors"),
        }
        found = {kind: f"{self.results}/{path}" for kind, (need, path) in files.items() if need in needs}
        source = student.training.loss_source
        return found | ({"loss": self.local_copy(source)} if source and not student.source else {})

    def _made(self, part: Data | Teacher) -> dict[str, Any]:
        """Return the settings of data or a teacher, with the file that it comes from by its name alone."""
        found = part.settings()
        if part.source:  # wherever it comes from: shards, checkpoints and headers name its content
            found["source"] = part.source.file
        if isinstance(part, Data) and part.known.content:
            found["content"] = part.known.content
        return found

    def parts(self, name: str) -> list[str]:
        """Return the names of the files of a set of pairs."""
        return [*(f"train-{shard:05d}" for shard in range(self.pairs[name].shards)), HELD_OUT_PART]

    def part_indices(self, name: str, part: str) -> range:
        """Return the pair indices of one of the `parts`.

        Raises:
            ConfigError: there is no such part.
        """
        pairs = self.pairs[name]
        if part == HELD_OUT_PART:
            return range(HELD_OUT, HELD_OUT + pairs.held_out)
        shard = int(part.removeprefix("train-"))
        check(shard < pairs.shards, f"pairs.{name}.shards is {pairs.shards}: no shard {shard}")
        return shard_range(shard, pairs.shards, pairs.count, pairs.sampler.batch)

    def evaluations(self, name: str) -> int:
        """Return how often the teacher is evaluated for one pair (NFE)."""
        return samplers.evaluations(self.pairs[name].sampler.settings())

    @cached_property
    def few_evaluations(self) -> dict[str, dict[str, Any]]:
        """Samplers of teachers beside those of the pairs, by the names of their files ('heun-5')."""
        evaluation = self.config.evaluation
        common = {"precision": evaluation.precision, "batch": evaluation.batch}
        found = [sampler.settings() for sampler in evaluation.teachers or []]
        return {f"{each['name']}-{samplers.evaluations(each)}": each | common for each in found}

    # -------------------------------------------------------------------------------- images, files, devices

    @cached_property
    def data_arguments(self) -> dict[str, Any]:
        """What the module of the data set takes of the config, beside its file."""
        known = self.config.data.settings() | {"seed": self.config.seed}
        takes = self.config.data.known.takes
        return {key: known.get(key) for key in takes if key not in ("archive", "sha256")}

    @property
    def data_name(self) -> str:
        """What the images are called: the data set, or the folder or file that they lie in."""
        data = self.config.data
        return data.source.file if data.name == "folder" and data.source else data.name

    @property
    def data_files(self) -> list[str]:
        """The file or folder that the data set is made from, if it is made from one."""
        source = self.config.data.source
        return [self.local_copy(source)] if source else []

    @property
    def data_origin(self) -> str | None:
        """What the data set is made from, in short: a folder by its content, a file by where it lies."""
        content = self.config.data.known.content
        return next((content or fingerprint(path) for path in self.data_files), None)

    @property
    def logits(self) -> int:
        """How many logits the extractor has; 0 for none, and so no Inception Score."""
        found = self.config.features.about.get("LOGITS", 0)
        return self.config.data.classes if found is True else found

    @property
    def extractor_weights(self) -> str:
        """The weights of the network whose features are compared."""
        features = self.config.features
        return f"{self.results}/features/{features.extractor}.{'safetensors' if features.trained else 'pth'}"

    def shape(self, conditional: bool = True) -> dict[str, int]:
        """Return what a model must know of the images."""
        channels, size, _ = self.config.data.shape
        return {"channels": channels, "size": size, "classes": self.config.data.classes * conditional}

    @cached_property
    def downloads(self) -> dict[str, Source]:
        """The files from outside that are downloaded, by name."""
        wanted = [source for source in sources(self.config).values() if not source.path]
        return {source.file: source for source in wanted}

    def local_copy(self, source: Source) -> str:
        """Return where a file from outside lies: where the config says, or where it is downloaded to."""
        return source.path or f"{self.results}/inputs/{source.file}"

    def device(self, kind: str) -> str:
        """Return where a job of this kind computes: without a GPU of its own, on the CPU."""
        return self.config.device if self.jobs[kind].gpu else "cpu"
