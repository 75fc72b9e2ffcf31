"""The molecular suite's models: names, sizes, and what each publishes on every axis."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.spec.table import Table
from bench.text.errors import unknown
from bench.text.model_size import parse_size

#: The model's own initialisation, which no arm has to ask for.
OWN_INITIALIZATION = "published"


@dataclass(frozen=True)
class Size:
    """Size of a network.

    Attributes:
        features: Features of an atom.
        interactions: Interaction blocks or convolutions.
        n_rbf: Radial basis functions.
        cutoff: Cutoff radius in Å.
        n_filters: Features of SchNet's filters; other models do not use it.
    """

    features: int
    interactions: int
    n_rbf: int
    cutoff: float
    n_filters: int = 0


_QUICK = Size(64, 3, n_rbf=20, cutoff=5.0, n_filters=64)
#: Of those whose step costs most.
_SMALLER = Size(32, 2, n_rbf=20, cutoff=5.0)


@dataclass(frozen=True)
class Architecture:
    """The choices of a model's publication.

    Attributes:
        summary: One line for ``list``.
        activation: Activation of all layers except gates.
        normalization: Normalisation; ``denorm`` if the model has no normalisation layer.
        builder: Where its parts are made: the reference of a
            `suites.molecular.models.potential.Builder`.
        paper: Size under the budget ``paper``: the one in arXiv 2310.01649 if there is one, else
            that of the library's configuration.
        quick_steps: Steps under the budget ``quick``. The cost of a step differs by a factor of
            ten; on ethanol a run takes 60 to 90 seconds on one core under protocol ``standard``.
        quick: Size under the budget ``quick``.
        replaced: Beginnings of the paths of modules whose activation arXiv 2310.01649 replaced;
            empty: all.
        unnormalized: Fragments of the paths of hidden layers that get no normalisation before their
            activation. The rows of these layers are pairs, or they are all alike at first, which a
            normalisation would blow up, as in FieldSchNet's dipole interaction.
        version: Of the model's definition. Whoever redefines the model raises it, so that runs of
            the old one are neither found nor compared.
    """

    summary: str
    activation: str
    normalization: str
    builder: str
    paper: Size
    quick_steps: int
    quick: Size = _QUICK
    replaced: tuple[str, ...] = ()
    unnormalized: tuple[str, ...] = ()
    version: int = 1


_READ_OUT = ("output_modules.",)

SCHNET = Architecture(
    summary="SchNet: continuous-filter convolutions (SchNetPack)",
    activation="ssp",
    normalization="denorm",
    builder="suites.molecular.models.potential:build_schnet",
    paper=Size(1024, 5, n_rbf=200, cutoff=6.0, n_filters=256),
    quick_steps=4000,
    unnormalized=("filter_network",),
)

PAINN = Architecture(
    summary="PaiNN: equivariant messages of vectors (SchNetPack)",
    activation="silu",
    normalization="denorm",
    builder="suites.molecular.models.potential:build_painn",
    paper=Size(128, 3, n_rbf=20, cutoff=5.0),
    quick_steps=2000,
)

SO3NET = Architecture(
    summary="SO3net: spherical harmonics, tensor products, gates (SchNetPack)",
    activation="silu",
    normalization="denorm",
    builder="suites.molecular.models.potential:build_so3net",
    paper=Size(128, 3, n_rbf=20, cutoff=5.0),
    quick_steps=300,
    quick=_SMALLER,
)

FIELD_SCHNET = Architecture(
    summary="FieldSchNet: SchNet with dipole features, at zero electric field (SchNetPack)",
    activation="ssp",
    normalization="denorm",
    builder="suites.molecular.models.potential:build_field_schnet",
    paper=Size(128, 5, n_rbf=20, cutoff=5.0, n_filters=128),
    quick_steps=1300,
    unnormalized=("filter_network", "dipole_interaction"),
)

CGCNN = Architecture(
    summary="CGCNN: gated convolutions with batch norm, mean pooling",
    activation="softplus",
    normalization="batchnorm",
    builder="suites.molecular.models.potential:build_cgcnn",
    paper=Size(512, 3, n_rbf=100, cutoff=6.0),
    quick_steps=2000,
    replaced=_READ_OUT,
    # 2: starts as the published code does, layer by layer (`starts`).
    version=2,
)

FORCENET = Architecture(
    summary="ForceNet's blocks with batch norm, made invariant and energy-conserving",
    activation="silu",
    normalization="batchnorm",
    builder="suites.molecular.models.potential:build_forcenet",
    paper=Size(512, 5, n_rbf=100, cutoff=6.0),
    quick_steps=2000,
    # 2: starts as the published code does, layer by layer (`starts`).
    version=2,
)

DIMENET = Architecture(
    summary="DimeNet++: directional messages (blocks of PyTorch Geometric)",
    activation="silu",
    normalization="denorm",
    builder="suites.molecular.models.potential:build_dimenet",
    paper=Size(128, 4, n_rbf=6, cutoff=6.0),
    quick_steps=1000,
    quick=Size(32, 2, n_rbf=6, cutoff=5.0),
    replaced=_READ_OUT,
)

ARCHITECTURES: Table[Architecture] = Table(
    {
        "schnet": "suites.molecular.models.catalogue:SCHNET",
        "painn": "suites.molecular.models.catalogue:PAINN",
        "so3net": "suites.molecular.models.catalogue:SO3NET",
        "field-schnet": "suites.molecular.models.catalogue:FIELD_SCHNET",
        "cgcnn": "suites.molecular.models.catalogue:CGCNN",
        "forcenet": "suites.molecular.models.catalogue:FORCENET",
        "dimenet++": "suites.molecular.models.catalogue:DIMENET",
    }
)

#: Name and one-line summary of each.
MODELS = {name: architecture.summary for name, architecture in ARCHITECTURES.items()}


@dataclass(frozen=True)
class Model:
    """A network of a known architecture.

    Attributes:
        name: One of `ARCHITECTURES`.
        size: Size of the network.
        choices: The choice on each axis that an arm leaves alone.
    """

    name: str
    size: Size
    choices: dict[str, str] = field(hash=False)

    @property
    def architecture(self) -> Architecture:
        """The choices of its publication."""
        return ARCHITECTURES[self.name]

    def __str__(self) -> str:
        return f"{self.name}:{self.size.features}x{self.size.interactions}"


def architecture_of(text: str) -> Architecture:
    """The architecture that ``name`` or ``name:<features>x<interactions>`` names.

    Raises:
        BadInput: The name is unknown.
    """
    name = text.partition(":")[0]
    if name not in ARCHITECTURES:
        raise unknown("model", name, ARCHITECTURES)
    return ARCHITECTURES[name]


def parse_model(text: str, size: Size, offset: str) -> Model:
    """The model that ``name`` or ``name:<features>x<interactions>`` names.

    Args:
        text: Name, and a size if wanted.
        size: Size under the budget; features and interactions in `text` replace its own.
        offset: What the training protocol removes from the energies.

    Raises:
        BadInput: The name is unknown or the size is wrong.
    """
    architecture = architecture_of(text)
    name, given, numbers = text.partition(":")
    if given:
        features, interactions = parse_size(
            text, numbers, "<features>x<interactions>", f"{name}:64x3"
        )
        size = Size(features, interactions, size.n_rbf, size.cutoff, size.n_filters)
    choices = {
        "activation": architecture.activation,
        "normalization": architecture.normalization,
        "offset": offset,
        "rescaling": "rescale=1",
        "initialization": OWN_INITIALIZATION,
    }
    return Model(name, size, choices)
