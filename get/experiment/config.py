"""The config of an experiment, typed: every key with its range, its default, and what it means.

`checks` has what the keys must agree on. A key that is `optional` here is in no settings, and in no
fingerprint, while the config leaves it out. So a key can be added without training anything again.
"""

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from get import plugins
from get.experiment.keys import (
    DISTINCT,
    UNROUNDED,
    Count,
    Keys,
    Label,
    Name,
    Natural,
    NonNegative,
    OpenKeys,
    Positive,
    Precision,
    Seed,
    Text,
    optional,
)
from get.student import architectures, losses, objectives
from get.teacher import samplers


class Source(Keys):
    """A file from outside. Where there is a path, the URL is not used."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^/]+/(.*/)?[A-Za-z0-9._-]+$")] | None = (
        optional()
    )
    """Where the file is downloaded from (http or https)."""
    path: Text | None = None
    """A local copy, for machines without internet."""
    sha256: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")] | None = None
    """The file's SHA-256; left out, that of the first download is recorded and checked ever after."""

    @property
    def file(self) -> str:
        """The name of the file, without where it lies."""
        return os.path.basename(self.path or self.url or "")


class Optimisation(Keys):
    """How a model is trained."""

    batch: Count
    """Examples per step, over all processes."""
    lr: Positive
    """Learning rate of AdamW, constant after the warm-up (write 1.0e-4, not 1e-4)."""
    warmup: Natural = 0
    """Steps of linear increase of the learning rate."""
    weight_decay: NonNegative = 0.0
    """Weight decay of AdamW."""
    clip: Positive | None = None
    """Largest norm of the gradient; null for no clipping."""
    ema: Annotated[float, Field(ge=0, lt=1), UNROUNDED]
    """Decay of the moving average of the weights."""
    ema_warmup: bool = False
    """At step t the decay is at most (1 + t) / (10 + t)."""
    precision: Precision = "float32"
    """float32, tf32 (float32 whose products and convolutions use TF32 on CUDA), or bfloat16 by autocast."""
    compile: bool = False
    """Compile the model with torch.compile."""


# ---------------------------------------------------------------------------------- real images and features


class Data(Keys):
    """The real images."""

    name: str
    """A module of get/data/sets (digits, photos, cifar10)."""
    shape: Annotated[list[Count], Field(min_length=3, max_length=3)]
    """Channels, height and width of an image; height and width are equal."""
    classes: Annotated[int, Field(ge=2)]
    """Number of classes."""
    test_fraction: Annotated[float, Field(ge=0.01, le=0.99), UNROUNDED] = 0.2
    """Share of the images in the test split, stratified; for data sets that come without one."""
    source: Source | None = optional()
    """The file that a data set is made from, if it is (cifar-10-python.tar.gz)."""

    @property
    def size(self) -> int:
        """Height and width of an image."""
        return self.shape[-1]


class ClassifierSize(Keys):
    """Size of the classifier."""

    width: Count
    """Channels of the first convolution; the other two have twice as many."""
    features: Count
    """Number of penultimate features."""


class Classifier(Keys):
    """The classifier whose features are compared, and its training."""

    model: ClassifierSize
    """Size of the classifier."""
    noise: NonNegative = 0.1
    """Standard deviation of the noise added to the images when the classifier is trained."""
    steps: Count
    """Optimisation steps of the classifier."""
    training: Optimisation
    """How it is trained."""


class Features(Keys):
    """The network whose activations FID, IS, KID, precision and recall compare."""

    extractor: Literal["classifier", "inception"]
    """classifier (trained on the train split) or inception (torch-fidelity's)."""
    source: Source | None = optional()
    """The weights of torch-fidelity's Inception; only where it is the extractor."""
    classifier: Classifier | None = optional()
    """The classifier and its training; only where it is the extractor."""


# ---------------------------------------------------------------------------------------- teachers and pairs


class Network(Keys):
    """DDPM++ U-Net under EDM preconditioning (Karras et al. 2022)."""

    sigma_data: Positive
    """Standard deviation of the data."""
    model_channels: Annotated[int, Field(ge=4, multiple_of=4)]
    """Channels at the highest resolution."""
    channel_mult: Annotated[list[Count], Field(min_length=1)]
    """Factor of the channels at each resolution; each halves the one before."""
    blocks: Count
    """Residual blocks per resolution."""
    attention_resolutions: list[Count]
    """Resolutions with self-attention."""
    dropout: Annotated[float, Field(ge=0, lt=1), UNROUNDED]
    """Dropout rate in training."""
    augment_dim: Natural = 0
    """Inputs of the augmentation embedding of published teachers; 0 for none."""


class NoiseLevels(Keys):
    """Training noise: ln sigma ~ N(mean, std^2)."""

    mean: Annotated[float, UNROUNDED] = -1.2
    """Mean of ln sigma."""
    std: Positive = 1.2
    """Standard deviation of ln sigma."""


class Teacher(Keys):
    """A diffusion teacher: trained here, or imported from EDM's file."""

    conditional: bool
    """Whether the teacher sees the class."""
    source: Source | None = optional()
    """A published teacher of EDM (.pkl), imported instead of trained."""
    network: Network | None = optional()
    """The network of a teacher that is trained here."""
    noise_levels: NoiseLevels = NoiseLevels()
    """Training noise: ln sigma ~ N(mean, std^2)."""
    steps: Count | None = optional()
    """Optimisation steps."""
    training: Optimisation | None = optional()
    """How it is trained."""


class Sampler(OpenKeys):
    """How a teacher is sampled. Other keys are arguments of the sampler; left out, they have its defaults."""

    name: str | None = optional()
    """A module of get/teacher/samplers; left out, heun: EDM's deterministic sampler, with num_steps (18),
    sigma_min, sigma_max and rho (EDM's noise levels) and 2 * num_steps - 1 evaluations of the teacher."""
    precision: Precision = "float32"
    """Of the network: float32, tf32 (on CUDA) or bfloat16; the state is kept in float64."""
    batch: Count
    """Pairs per call of the teacher; part of what a pair is, down to the last bits."""

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        """Fill in the defaults of the sampler; the default sampler need not be named."""
        if not isinstance(given, dict):
            return given
        name = given.get("name") or samplers.DEFAULT
        settings = {key: value for key, value in given.items() if key != "name" or name != samplers.DEFAULT}
        return samplers.defaults(name) | settings


class Pairs(Keys):
    """A set of pairs (noise, class, the teacher's image)."""

    teacher: str
    """Name of the teacher."""
    count: Count
    """Pairs to train on."""
    held_out: Count
    """Pairs kept from training, to measure the students' error on."""
    shards: Annotated[int, Field(ge=1, le=99999)] = 1
    """Files (and jobs) that the training pairs are divided into; changes no pair."""
    sampler: Sampler
    """How the teacher is sampled."""


# -------------------------------------------------------------------------------------------------- students


class Model(OpenKeys):
    """The architecture; the shape of the images comes from the data."""

    family: str
    """A module of get/student/architectures (get, vit, unet); the other keys are arguments of its class."""
    conditioning: str
    """How the class comes in: none, injection (added to q, k, v), adaln-zero (ViT only), embedding (unet)."""
    iterations: Count | None = optional()
    """Fixed-point iterations of a student with a state; all of them are supervised."""
    network: Network | None = optional()
    """The network of a unet."""

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        """Fill in the defaults of the family."""
        return architectures.defaults(given.get("family")) | given if isinstance(given, dict) else given

    @property
    def conditional(self) -> bool:
        """Whether the student sees the class."""
        return self.conditioning != "none"


class Loss(OpenKeys):
    """How far an image is from the one that is wanted. Other keys are arguments of the loss."""

    name: str
    """A module of get/student/losses (l1, l2, pseudo_huber, lpips)."""
    source: Source | None = optional()
    """The weights of a network that the loss looks through (lpips: torchvision's vgg16-397923af.pth)."""

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        """Fill in the defaults of the loss, which may be given by its name alone."""
        found = {"name": given} if isinstance(given, str) else given
        return losses.defaults(found.get("name")) | found if isinstance(found, dict) else found


def _or_its_name(schema: dict[str, Any]) -> None:
    """Let the JSON schema of a mapping take its name alone."""
    schema["anyOf"].append({"type": "string"})


class Distillation(Optimisation):
    """How a student is trained. Other keys are arguments of the objective, with its defaults."""

    model_config = ConfigDict(extra="allow")

    objective: str | None = optional()
    """A module of get/student/objectives (reflow, consistency, progressive); left out, pairs: regression on
    the teacher's images."""
    loss: Loss | None = optional(json_schema_extra=_or_its_name)
    """A module of get/student/losses by its name (l1, l2, pseudo_huber, lpips), or a mapping of its
    name and its arguments; left out, the objective's own: l1 of pairs."""
    init: Literal["teacher"] | None = optional()
    """teacher: start from the teacher's weights (of a unet like the teacher's); left out, random ones."""
    loss_decay: Annotated[float, Field(ge=0, le=1), UNROUNDED] | None = optional()
    """Pairs: state i of S has the weight loss_decay^(S - i) in the loss (0.8); at 0 the last alone counts."""
    checkpointing: bool | None = optional()
    """Pairs, O(1)-memory mode: compute each iteration again in the backward pass (false)."""
    implicit: bool | None = optional()
    """Pairs: supervise the last state alone, with the gradient of a fixed point by the implicit function
    theorem (GET only); left out, gradients go through the iterations."""
    pairs: Count | None = optional()
    """Learn from the first so many pairs; left out, from all."""
    prefetch: Natural = 0
    """Batches of pairs that a thread prepares ahead; changes no number, and re-runs nothing."""
    accumulate: Count | None = optional()
    """Parts that each batch is computed in, one after the other, to save memory; changes no number but by
    rounding, and the masks of dropout, and re-runs nothing. Left out, a batch is computed at once."""

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        """Fill in the defaults of the objective; what is the default need not be named."""
        if not isinstance(given, dict):
            return given
        objective = objectives.DEFAULT if given.get("objective") is None else given["objective"]
        if objective not in plugins.names(objectives.PACKAGE):  # `checks` says which there are
            return given
        cls._require_known(given, objective)
        own = {"loss", *objectives.keys(objective)}
        found = {key: value for key, value in given.items() if value is not None or key not in own}
        loss = objectives.about(objective)["DEFAULT_LOSS"]
        found = {"loss": loss, **objectives.defaults(objective), **found}
        if objective == objectives.DEFAULT:
            found.pop("objective", None)
            if found["loss"] in (loss, {"name": loss}):
                del found["loss"]
        return found

    @classmethod
    def _require_known(cls, given: Mapping[str, Any], objective: str) -> None:
        """Raise an error of pydantic (see `loading.message`) unless all keys are known or the objective's."""
        of_default, own = objectives.keys(objectives.DEFAULT), objectives.keys(objective)
        known = [*(key for key in cls.model_fields if key not in of_default), *own]
        for key in given:
            if key not in known:
                about = {"key": key, "known": known, "objectives": objectives.having(key)}
                raise PydanticCustomError("unknown_key", "", about)

    @property
    def objective_name(self) -> str:
        """The name of the objective."""
        return objectives.DEFAULT if self.objective is None else self.objective

    @property
    def loss_source(self) -> Source | None:
        """The weights of the loss's network, if it has one."""
        return self.loss.source if self.loss else None

    def decisive(self) -> dict[str, Any]:
        """Return the settings that decide what comes out, but for rounding; files by what they are."""
        found = self.settings()
        if source := self.loss_source:
            hashed = {"sha256": source.sha256} if source.sha256 else {}
            found["loss"]["source"] = {"file": source.file, **hashed}
        return {key: value for key, value in found.items() if key not in ("prefetch", "accumulate")}


class Student(Keys):
    """A one-step student."""

    label: Label
    """What tables and figures call the student."""
    pairs: str
    """Name of the set of pairs."""
    disabled: Text | None = optional()
    """Why this student is left out, of tables and figures too; remove the key to run it."""
    source: Source | None = optional(alias="import")
    """A published checkpoint of the student, imported instead of trained; training then says how it was
    trained, and milestones has one step."""
    model: Model
    """The architecture; the shape of the images comes from the data."""
    training: Distillation
    """How the student is trained."""
    milestones: Annotated[list[Count], Field(min_length=1), DISTINCT]
    """Steps at which a checkpoint is kept and can be scored, increasing."""
    headline: Count | None = optional()
    """The milestone that tables and Figures 3a and 4 show; left out, the last."""
    seeds: Annotated[list[Seed], Field(min_length=1), DISTINCT] = [0]
    """Seeds of initial weights, order of the pairs and initial states; one run for each."""

    @property
    def shown_step(self) -> int:
        """The milestone that tables show."""
        return self.headline or self.milestones[-1]


# ------------------------------------------------------------------------------------- scores, paper, studies


class Scoring(Keys):
    """Settings of the scores."""

    splits: Count = 10
    """Parts of the Inception Score."""
    bootstrap: Annotated[int, Field(ge=2)] = 100
    """Resamples for the interval of FID."""
    kid_subsets: Count = 100
    """Subsets of KID."""
    kid_subset_size: Annotated[int, Field(ge=2)] = 1000
    """Images per subset of KID, at most the images there are."""
    nearest: Count = 1000
    """Samples whose nearest training image is looked for."""


class Evaluation(Keys):
    """How models are sampled and scored."""

    samples: Annotated[int, Field(ge=2)]
    """Samples per model; FID falls with the number, so compare only equal ones."""
    batch: Count
    """Samples per call."""
    iterations: Annotated[list[Count], DISTINCT] = []
    """Numbers of fixed-point iterations to sample a GET with, besides those trained with."""
    precision: Precision = "float32"
    """Of the networks: float32, tf32 (on CUDA) or bfloat16."""
    scoring: Scoring = Scoring()
    """Settings of the scores."""


class Row(Keys):
    """A row of a table: a student at one step."""

    student: str
    """Name of the student."""
    step: Count | None = None
    """The milestone; left out, the student's headline."""
    label: Label | None = None
    """What to call the row; left out, the student's label."""
    published: str | None = None
    """Name of the row in the paper's table (the column 'method' of get/paper/published.csv)."""


TwoRows = Annotated[list[Row], Field(min_length=2, max_length=2)]
Shown = Annotated[
    str,
    StringConstraints(
        pattern=r"^(table[1-6]|figure[234][ab]|residuals|training-curves|same-noise|costs|reproduction)$"
    ),
]


class Figure4(Keys):
    """The students of Figure 4; each may be left out."""

    unconditional: str | None = None
    """Name of the student of Figure 4a: uncurated samples."""
    conditional: str | None = None
    """Name of the student of Figure 4b: a row per class."""


class Paper(Keys):
    """What the paper's tables and figures show."""

    captions: dict[Shown, Text] = {}
    """Sentences that are added to captions, by the name of the table or figure."""
    table1: list[Row] = []
    """Students of Table 1; left out, all of them. Teachers, real images and noise come in addition."""
    table2: list[Row] = []
    """Sizes: the first row and all trained as long at its batch are the ladder, from small to large."""
    table3: list[Row] = []
    """Class-conditional students."""
    table4: TwoRows | None = None
    """A ViT, and the smaller GET that is compared with it."""
    table5: list[Row] = []
    """Students whose training is described; the batch of the first one counts as 1x."""
    table6: list[Row] = []
    """How the class comes in: not at all, by AdaLN-Zero, by injection."""
    larger_vit: TwoRows | None = None
    """A GET, and the much larger ViT that it is said to match."""
    figure4: Figure4 = Figure4()
    """The students shown: uncurated samples, and a row per class; each may be left out."""

    def rows(self) -> dict[str, list[Row]]:
        """Return the rows that were listed, by key."""
        keys = [*(f"table{number}" for number in range(1, 7)), "larger_vit"]
        return {key: getattr(self, key) or [] for key in keys}


class Studies(Keys):
    """What `snakemake --cores all studies` looks at: how GETs do when trained and sampled in other ways."""

    trained: str
    """The GET that is trained in other ways, to its headline milestone with its seeds: with the last state
    supervised alone, with implicit gradients, from other numbers of pairs."""
    lower_lr: Positive
    """A learning rate below its own, at which it is trained in all these ways too; with the last state
    supervised alone it may not learn at one that suits all states."""
    sampled: Annotated[list[str], Field(min_length=1), DISTINCT]
    """GETs that are sampled with other initial states and by another solver, each of their seeds."""
    evaluations: Annotated[list[Count], Field(min_length=1), DISTINCT]
    """Evaluations at which the plain iteration and Anderson acceleration are compared."""
    pairs: Annotated[list[Count], Field(min_length=2), DISTINCT]
    """Numbers of pairs to learn from; more than there are are made."""


class Method(Keys):
    """A one-step method: a network, and how it is trained."""

    label: Label
    """What tables and figures call it."""
    model: Model
    """The architecture; where the teacher sees no class, conditioning counts as none."""
    training: Distillation
    """How it is trained; lr is the learning rate about which others are tried."""
    steps: Count
    """Steps that take as many operations as the reference's training; the table says what they took."""
    scaled: Annotated[list[str], DISTINCT] = []
    """Keys of training that count the steps of a schedule, for a whole reference budget. At another budget
    they are multiplied by it, and the method is trained for that budget alone."""
    pairs: Annotated[list[str], Field(min_length=1), DISTINCT] | None = None
    """Sets of pairs (tasks) that it is tried on; left out, all of rivals.pairs."""
    budgets: Annotated[list[Positive], Field(min_length=1), DISTINCT] | None = None
    """Budgets of its own, increasing, in place of rivals.budgets: a method without pairs may train for what
    the pairs take as well."""
    rates: Annotated[list[Positive], Field(min_length=1), DISTINCT] | None = None
    """Factors of its own, equally many and increasing, in place of rivals.rates."""


class Rivals(Keys):
    """What `snakemake --cores all rivals` compares: one-step methods at equal budgets, tuned alike."""

    reference: str
    """The method that the others are compared with; its training to `steps` is the budget 1."""
    pairs: Annotated[list[str], Field(min_length=1), DISTINCT]
    """Sets of pairs: each is a task, with its teacher; methods without pairs have the teacher alone."""
    budgets: Annotated[list[Positive], Field(min_length=1), DISTINCT]
    """Shares of the reference budget at which methods are scored, increasing."""
    seeds: Annotated[list[Seed], Field(min_length=2), DISTINCT]
    """Seeds of every method."""
    rates: Annotated[list[Positive], Field(min_length=1), DISTINCT]
    """Factors of each method's learning rate that are tried."""
    trial: Positive
    """Share of the reference budget of a trial."""
    trial_seed: Seed
    """Seed of the trials, none of `seeds`."""
    methods: Annotated[dict[Name, Method], Field(min_length=2)]
    """The methods, by name."""


# ------------------------------------------------------------------------------------------------------ jobs


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
    """Training of the classifier."""
    teacher: Job = Job()
    """Training of a teacher."""
    pairs: Job = Job()
    """Sampling of a shard of pairs."""
    student: Job = Job()
    """Training of a student, from one milestone to the next."""
    sample: Job = Job()
    """Sampling of a student."""
    score: Job = Job()
    """Scoring, and the reference statistics."""
    costs: Job = Job()
    """Measuring of costs; without a cluster it waits for all cores, to be alone."""

    def by_kind(self) -> dict[str, Job]:
        """Return what each kind of job asks for."""
        return {kind: getattr(self, kind) for kind in type(self).model_fields}


class Config(Keys):
    """Every key of an experiment's config; unknown keys are refused, keys with a default may be left out."""

    results: Annotated[str, StringConstraints(pattern=r"^/?[A-Za-z0-9._][A-Za-z0-9._-]*(/[A-Za-z0-9._-]+)*$")]
    """Folder of its own in which everything of this experiment is made."""
    seed: Seed = 0
    """Seed of the data split, the features, the teachers and the pairs."""
    device: Annotated[str, StringConstraints(pattern=r"^(auto|cpu|cuda(:[0-9]+)?)$")] = "auto"
    """Of jobs with a GPU: auto (a CUDA device if there is one), cpu, cuda, or cuda:N, which jobs share."""
    data: Data
    """The real images."""
    features: Features
    """The network whose activations FID, IS, KID, precision and recall compare."""
    teachers: Annotated[dict[Name, Teacher], Field(min_length=1)]
    """Diffusion teachers, by name."""
    pairs: Annotated[dict[Name, Pairs], Field(min_length=1)]
    """Sets of pairs (noise, class, the teacher's image), by name."""
    students: Annotated[dict[Name, Student], Field(min_length=1)]
    """One-step students, by name."""
    evaluation: Evaluation
    """How models are sampled and scored."""
    paper: Paper
    """What the paper's tables and figures show."""
    studies: Studies | None = optional()
    """What `snakemake --cores all studies` looks at; left out, there are no studies."""
    rivals: Rivals | None = optional()
    """What `snakemake --cores all rivals` compares; left out, nothing."""
    jobs: Jobs = Jobs()
    """What each kind of job asks for."""
