"""How the published code of each network of arXiv 2310.01649 starts, layer by layer.

Facts, from the code that the paper trained (github.com/lbai-lab/dcnn-training, which has CGCNN,
ForceNet and DimeNet++ from the Open Catalyst Project and SchNet from PyTorch Geometric). The models
of this package start like this where an arm names no initialisation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Law:
    """The distribution of the first entries of a tensor.

    Attributes:
        text: For people.
        shape: ``constant``, ``uniform`` (around 0, symmetric), ``normal`` (likewise) or
            ``orthogonal`` (rows or columns are, in a random direction).
        deviation: Standard deviation, from the layer's numbers of inputs and of outputs.
        mean: Of all entries.
    """

    text: str
    shape: Literal["constant", "uniform", "normal", "orthogonal"]
    deviation: Callable[[int, int], float] = lambda n_in, n_out: 0.0
    mean: float = 0.0


ZERO = Law("0", "constant")
ONE = Law("1", "constant", mean=1.0)
#: `torch.nn.Linear`'s default, of weights (Kaiming uniform with a = √5) and of biases.
TORCH = Law(
    "torch's default, U(±1/√inputs)", "uniform", lambda n_in, n_out: 1 / math.sqrt(3 * n_in)
)
GLOROT = Law(
    "Glorot uniform, U(±√(6/(inputs + outputs)))",
    "uniform",
    lambda n_in, n_out: math.sqrt(2 / (n_in + n_out)),
)
#: X. Glorot's variance with orthogonal rows; DimeNet's authors' ``glorot_orthogonal``, scale 2.
GLOROT_ORTHOGONAL = Law(
    "orthogonal, variance 2/(inputs + outputs)",
    "orthogonal",
    lambda n_in, n_out: math.sqrt(2 / (n_in + n_out)),
)
STANDARD_NORMAL = Law("N(0, 1)", "normal", lambda n_in, n_out: 1.0)
UNIT_UNIFORM = Law("U(±√3)", "uniform", lambda n_in, n_out: 1.0)

#: The published features of an element are a `torch.nn.Linear` of 92 bits, of which 9 are 1.
CGCNN_ELEMENTS = math.sqrt((9 + 1) / (3 * 92))
#: Those of ForceNet are one of 9 properties in 50 Gaussians each (`feat="full"`), whose squares sum
#: to 15.95 for an element amid the table.
FORCENET_ELEMENTS = math.sqrt((15.95 + 1) / (3 * 450))


def _elements(deviation: float) -> Law:
    return Law(f"N(0, {deviation:.2g}²)", "normal", lambda n_in, n_out: deviation)


@dataclass(frozen=True)
class Start:
    """How some layers of a model start.

    Attributes:
        layers: A regular expression that their paths in the potential match.
        weight: Law of the weights.
        bias: Law of the biases; ``None`` where the layers have none.
        source: Where the published code says so.
    """

    layers: str
    weight: Law
    bias: Law | None
    source: str


_NORM = Start(r".*\.(norm|layer_norm)", ONE, ZERO, "torch's default of normalisation layers")

#: By model. Every parameter of a model but DimeNet++'s frequencies is in one row.
STARTS: Mapping[str, tuple[Start, ...]] = {
    "schnet": (
        Start(
            r"representation\.embedding",
            STANDARD_NORMAL,
            None,
            "torch_geometric SchNet.embedding, torch's default",
        ),
        Start(
            r"representation\.interactions\.\d+\.in2f",
            GLOROT,
            None,
            "torch_geometric CFConv.reset_parameters, lin1",
        ),
        Start(
            r"representation\.interactions\.\d+\.(f2out|filter_network)\.\d",
            GLOROT,
            ZERO,
            "torch_geometric CFConv.reset_parameters, lin2; InteractionBlock.reset_parameters",
        ),
        Start(
            r"output_modules\.0\.outnet\.\d",
            GLOROT,
            ZERO,
            "torch_geometric SchNet.reset_parameters, lin1 and lin2",
        ),
    ),
    "cgcnn": (
        Start(
            r"representation\.embedding",
            _elements(CGCNN_ELEMENTS),
            None,
            "CGCNN.embedding_fc, torch's default on 92 bits, 9 of them 1: here one row an element",
        ),
        Start(
            r"representation\.interactions\.\d+\.linear",
            GLOROT,
            ZERO,
            "CGCNNConv.reset_parameters, lin1",
        ),
        Start(
            r"output_modules\.0\.(hidden\.\d|linear)",
            TORCH,
            TORCH,
            "CGCNN.conv_to_fc, fcs and fc_out, torch's default",
        ),
        _NORM,
    ),
    "forcenet": (
        Start(
            r"representation\.embedding",
            _elements(FORCENET_ELEMENTS),
            None,
            "ForceNet.embedding, torch's default on 450 Gaussians: here one row an element",
        ),
        Start(
            r"representation\.interactions\.\d+",
            GLOROT,
            None,
            "InteractionBlock.reset_parameters, center_W",
        ),
        Start(
            r"representation\.interactions\.\d+\."
            r"(edge_linear|filter_network\.\d|linear|node_network\.(hidden|linear))",
            GLOROT,
            ZERO,
            "InteractionBlock.reset_parameters",
        ),
        Start(r"representation\.output", TORCH, TORCH, "ForceNet.lin, torch's default"),
        Start(
            r"output_modules\.0\.network\.hidden",
            GLOROT,
            ZERO,
            "FNDecoder.reset_parameters (in the Open Catalyst Project; the paper left it out)",
        ),
        Start(
            r"output_modules\.0\.network\.linear",
            TORCH,
            TORCH,
            "ForceNet.energy_mlp, torch's default",
        ),
        _NORM,
    ),
    "dimenet++": (
        Start(
            r"representation\.embedding\.emb",
            UNIT_UNIFORM,
            None,
            "torch_geometric EmbeddingBlock.reset_parameters",
        ),
        Start(
            r"representation\.embedding\.(lin_rbf|lin)",
            TORCH,
            TORCH,
            "torch_geometric EmbeddingBlock.reset_parameters",
        ),
        Start(
            r"representation\.interaction_blocks\.\d+\.(lin_rbf[12]|lin_sbf[12]|lin_down|lin_up)",
            GLOROT_ORTHOGONAL,
            None,
            "InteractionPPBlock.reset_parameters",
        ),
        Start(
            r"representation\.interaction_blocks\.\d+\."
            r"(lin_kj|lin_ji|lin|layers_\w+\.\d+\.lin[12])",
            GLOROT_ORTHOGONAL,
            ZERO,
            "InteractionPPBlock.reset_parameters; torch_geometric ResidualLayer.reset_parameters",
        ),
        Start(
            r"output_modules\.0\.output_blocks\.\d+\.(lin_rbf|lin_up)",
            GLOROT_ORTHOGONAL,
            None,
            "OutputPPBlock.reset_parameters (lin_up has a bias there and none here)",
        ),
        Start(
            r"output_modules\.0\.output_blocks\.\d+\.lins\.\d+",
            GLOROT_ORTHOGONAL,
            ZERO,
            "OutputPPBlock.reset_parameters",
        ),
        Start(
            r"output_modules\.0\.output_blocks\.\d+\.lin",
            ZERO,
            None,
            "OutputPPBlock.reset_parameters",
        ),
    ),
}
