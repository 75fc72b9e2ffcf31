"""What a few steps compute, to many digits, for every technique, problem and model.

Errors after 100 steps (`metrics`) say whether training got worse, of a few networks, and by 1 % or
more. These say whether the mathematics changed at all, and of what: a derivative of one activation,
the statistics of one normalisation, one solver. `bench.tracking` calls a change in either direction
red (`bench.tracking.results.Value.two_sided`).

A case is a problem, a model and an arm, then options that differ; see `fingerprint`. The names of
techniques, problems and models are spelled here, since importing this must import no suite; tests
compare them with the registries.
"""

from __future__ import annotations

from .describe import describe
from .fingerprint import Fingerprint, fingerprints
from .profile import cases

Fingerprints = dict[str, Fingerprint | str]

_INTEGRATED = ["irelu", "ielu", "igelu", "isilu", "itanh", "isoftplus"]
_PLAIN = ["tanh", "sin", "silu", "gelu", "elu", "softplus", "ssp", "relu", "sigmoid"]
#: From Glorot's weights an integrated activation gives a PINN next to nothing, and no fault of it
#: shows. In potentials it gives enough, and after this initialisation last digits grow too fast.
#: With numbers given by hand, since the rule that finds them takes 2 s.
_PINN_ACTIVATIONS = [*(f"{name}+featurewise=1,0.4" for name in _INTEGRATED), *_PLAIN]
_NORMALIZATIONS = ["denorm", "batchnorm", "layernorm", "frozenbn"]
#: Of all training rows, which potentials do not see at once.
_OF_ALL_ROWS = "pointwise-batchnorm"
_LABELS = ["offset", "no-offset", "rescale=0.5", "rescale-weights=0.5"]
_INITIALIZATIONS = ["glorot", "he", "orthogonal", "lsuv", "featurewise"]
_OTHERS = [*_NORMALIZATIONS, *_LABELS, *_INITIALIZATIONS]
_PINN_TECHNIQUES = [*_PINN_ACTIVATIONS, *_OTHERS, _OF_ALL_ROWS]
_MOLECULAR_TECHNIQUES = [*_INTEGRATED, *_PLAIN, *_OTHERS]
#: One or two of each axis.
_SOME_OTHERS = ["baseline", "denorm", "layernorm", "no-offset", "rescale=0.5", "lsuv"]
_PINN_SOME = [*_SOME_OTHERS, "irelu+featurewise"]
_MOLECULAR_SOME = [*_SOME_OTHERS, "irelu"]


def _each(problem: str, model: str, arms: list[str], *settings: str) -> list[str]:
    """A case for each arm."""
    return [" ".join((problem, model, arm, *settings)) for arm in arms]


class _Fingerprints:
    """Cases, each in three numbers; a subclass says which.

    asv shares a cache between benchmarks whose ``setup_cache`` is the same line of source, so each
    class has one of its own.
    """

    version = "1"
    timeout = 900
    param_names = ["case"]


def _found(found: Fingerprints, case: str) -> Fingerprint:
    """The fingerprint of a case.

    Raises:
        RuntimeError: The case failed.
    """
    numbers = found[case]
    if isinstance(numbers, str):
        raise RuntimeError(f"{case}: {numbers}")
    return numbers


class PINN(_Fingerprints):
    """Every technique on one problem with second derivatives, a system of conservation laws, …

    ``nightly`` has every technique on every problem and on every model.
    """

    params = [
        cases(
            [
                *_each("diffusion-reaction-2d", "fnn", _PINN_SOME),
                *_each("diffusion-reaction-2d", "fnn-ln", ["baseline"]),
            ],
            [
                *_each("diffusion-reaction-2d", "fnn", _PINN_TECHNIQUES),
                *_each("compressible-flow-1d", "fnn", ["baseline", *_PINN_ACTIVATIONS]),
                *_each("advection-1d", "fnn", ["baseline", "irelu+featurewise=1,0.4"]),
                *_each("diffusion-sorption-1d", "fnn", ["baseline", "irelu+featurewise=1,0.4"]),
                *_each("shallow-water-2d", "fnn", ["baseline", "irelu+featurewise=1,0.4"]),
                *_each("diffusion-reaction-2d", "fnn-bn", ["baseline", "irelu+featurewise=1,0.4"]),
                *_each("diffusion-reaction-2d", "fnn-ln", ["irelu+featurewise=1,0.4", "denorm"]),
                *_each("diffusion-reaction-2d", "fnn-bn-published", ["baseline", "denorm"]),
                *_each("diffusion-sorption-1d-relu", "fnn", ["baseline"]),
                *_each("diffusion-reaction-2d-noise", "fnn", ["baseline"]),
            ],
            [
                *_each(
                    "diffusion-reaction-2d", "fnn", [f"{name}+featurewise" for name in _INTEGRATED]
                ),
                *_each("advection-1d", "fnn", _PINN_TECHNIQUES),
                *_each("compressible-flow-1d", "fnn", _PINN_TECHNIQUES),
                *_each("diffusion-sorption-1d", "fnn", _PINN_TECHNIQUES),
                *_each("shallow-water-2d", "fnn", _PINN_TECHNIQUES),
                *_each("diffusion-reaction-2d", "fnn-bn", _PINN_TECHNIQUES),
                *_each("diffusion-reaction-2d", "fnn-ln", _PINN_TECHNIQUES),
                *_each("diffusion-reaction-2d", "fnn-bn-published", _PINN_TECHNIQUES),
            ],
        )
    ]

    def setup_cache(self) -> Fingerprints:
        """Compute all cases in one process."""
        return fingerprints("pinn", self.params[0])

    @describe("PINN: loss of the first step, to many digits", "weighted")
    def track_loss(self, found: Fingerprints, case: str) -> float:
        """Loss of the first step in float64."""
        return _found(found, case).loss

    @describe("PINN: norm of the first gradient, to many digits", "weighted")
    def track_gradient(self, found: Fingerprints, case: str) -> float:
        """Euclidean norm of the loss's gradient by all parameters."""
        return _found(found, case).gradient

    @describe("PINN: metrics after two steps, to many digits", "mixed")
    def track_metrics(self, found: Fingerprints, case: str) -> float:
        """Geometric mean of the sizes of all metrics after two steps."""
        return _found(found, case).metrics


#: The potentials' activations go everywhere: published, in some models, only into the read-out.
_EVERYWHERE = "scope=all"


class Molecular(_Fingerprints):
    """Every technique on CGCNN, which has normalisation layers, and some on every model.

    ``nightly`` has every technique on every model but the two that take longest.
    """

    params = [
        cases(
            [
                *_each("xtb-ethanol", "cgcnn", _MOLECULAR_SOME, _EVERYWHERE),
                *_each("xtb-ethanol", "schnet", ["baseline"], _EVERYWHERE),
            ],
            [
                *_each("xtb-ethanol", "cgcnn", _MOLECULAR_TECHNIQUES, _EVERYWHERE),
                *(
                    case
                    for model in ("schnet", "painn", "field-schnet", "forcenet")
                    for case in _each("xtb-ethanol", model, ["baseline", "irelu"], _EVERYWHERE)
                ),
                *_each("xtb-ethanol", "so3net", ["baseline"], _EVERYWHERE),
                *_each("xtb-ethanol", "dimenet++", ["baseline"], _EVERYWHERE),
                # Periodic, of many compositions.
                *_each("xtb-oxides", "cgcnn", ["baseline"], "n_train=24", "unseen_elements=apart"),
            ],
            [
                *(
                    case
                    for model in ("schnet", "painn", "field-schnet", "forcenet")
                    for case in _each("xtb-ethanol", model, _MOLECULAR_TECHNIQUES, _EVERYWHERE)
                ),
                *(
                    case
                    for model in ("so3net", "dimenet++")
                    for case in _each("xtb-ethanol", model, _MOLECULAR_SOME, _EVERYWHERE)
                ),
                *(
                    case
                    for model in ("schnet", "painn", "field-schnet", "forcenet")
                    for case in _each(
                        "xtb-oxides", model, ["baseline"], "n_train=24", "unseen_elements=apart"
                    )
                ),
            ],
        )
    ]

    def setup_cache(self) -> Fingerprints:
        """Compute all cases in one process."""
        return fingerprints("molecular", self.params[0])

    @describe("potentials: loss of the first step, to many digits", "weighted")
    def track_loss(self, found: Fingerprints, case: str) -> float:
        """Loss of the first batch in float64."""
        return _found(found, case).loss

    @describe("potentials: norm of the first gradient, to many digits", "weighted")
    def track_gradient(self, found: Fingerprints, case: str) -> float:
        """Euclidean norm of the loss's gradient by all parameters."""
        return _found(found, case).gradient

    @describe("potentials: metrics after two steps, to many digits", "mixed")
    def track_metrics(self, found: Fingerprints, case: str) -> float:
        """Geometric mean of the sizes of all metrics after two steps."""
        return _found(found, case).metrics


def _of_suites(named: list[str]) -> Fingerprints:
    """The fingerprints of cases that begin with their suites."""
    found: Fingerprints = {}
    for suite in ("pinn", "molecular"):
        own = [case for case in named if case.startswith(f"{suite} ")]
        numbers = fingerprints(suite, [case.partition(" ")[2] for case in own])
        found |= dict(zip(own, numbers.values(), strict=True))
    return found


_SCHEDULES = ["constant", "stable-decay", "warmup-stable-decay", "cosine", "exponential"]


class Training(_Fingerprints):
    """How a baseline is trained: schedules, optimisers, samplers, protocols, losses.

    The steps of a schedule go through all of it.
    """

    params = [
        [
            *(f"pinn advection-1d fnn baseline steps=8 schedule={name}" for name in _SCHEDULES),
            "pinn advection-1d fnn baseline lbfgs_steps=2",
            "pinn advection-1d fnn baseline weight_decay=0.1",
            "pinn advection-1d fnn baseline protocol=paper",
            "pinn diffusion-reaction-2d fnn baseline protocol=paper",
            "pinn advection-1d fnn baseline engine=deepxde",
            "pinn advection-1d fnn baseline resample=1",
            "pinn advection-1d fnn baseline resample=1 sampler=rad",
            "molecular xtb-ethanol cgcnn baseline protocol=paper",
            "molecular xtb-ethanol cgcnn baseline loss=MAE",
            "molecular xtb-ethanol cgcnn irelu scope=published",
            "molecular xtb-ethanol cgcnn baseline ema=0",
        ]
    ]

    def setup_cache(self) -> Fingerprints:
        """Compute all cases in one process."""
        return _of_suites(self.params[0])

    @describe("training: norm of the first gradient, to many digits", "weighted")
    def track_gradient(self, found: Fingerprints, case: str) -> float:
        """Euclidean norm of the loss's gradient by all parameters."""
        return _found(found, case).gradient

    @describe("training: metrics after the last step, to many digits", "mixed")
    def track_metrics(self, found: Fingerprints, case: str) -> float:
        """Geometric mean of the sizes of all metrics after the last step."""
        return _found(found, case).metrics


_KERNEL_ARMS = ["baseline", "irelu+featurewise=1,0.4", "silu", "frozenbn"]


class Ways(_Fingerprints):
    """Steps in the ways that a long run takes: the native kernel, padded batches.

    The last option says which. The same mathematics as `PINN` and `Molecular` have, by other code.
    """

    params = [
        cases(
            [
                *(
                    f"pinn diffusion-reaction-2d fnn {arm} way=kernel"
                    for arm in ("baseline", "irelu+featurewise=1,0.4")
                ),
                "molecular xtb-ethanol cgcnn baseline scope=all way=padded",
            ],
            [
                *(f"pinn diffusion-reaction-2d fnn {arm} way=kernel" for arm in _KERNEL_ARMS),
                *(
                    f"pinn {problem} fnn baseline way=kernel"
                    for problem in ("advection-1d", "compressible-flow-1d")
                ),
                *(
                    f"molecular xtb-ethanol {model} baseline scope=all way=padded"
                    for model in ("schnet", "painn")
                ),
                "molecular xtb-oxides cgcnn baseline n_train=24 unseen_elements=apart way=padded",
            ],
            [
                *(
                    f"pinn {problem} fnn {arm} way=kernel"
                    for problem in ("diffusion-sorption-1d", "shallow-water-2d")
                    for arm in ("baseline", "irelu+featurewise=1,0.4")
                ),
                *(
                    f"pinn diffusion-reaction-2d fnn {name}+featurewise=1,0.4 way=kernel"
                    for name in _INTEGRATED
                ),
                *(f"pinn diffusion-reaction-2d fnn {name} way=kernel" for name in _PLAIN),
                *(
                    f"molecular xtb-ethanol {model} baseline scope=all way=padded"
                    for model in ("so3net", "field-schnet", "forcenet", "dimenet++")
                ),
            ],
        )
    ]

    def setup_cache(self) -> Fingerprints:
        """Compute all cases in one process."""
        return _of_suites(self.params[0])

    @describe("ways: loss of the first step, to many digits", "weighted")
    def track_loss(self, found: Fingerprints, case: str) -> float:
        """Loss of the first step in float64."""
        return _found(found, case).loss

    @describe("ways: norm of the first gradient, to many digits", "weighted")
    def track_gradient(self, found: Fingerprints, case: str) -> float:
        """Euclidean norm of the loss's gradient by all parameters."""
        return _found(found, case).gradient

    @describe("ways: metrics after two steps, to many digits", "mixed")
    def track_metrics(self, found: Fingerprints, case: str) -> float:
        """Geometric mean of the sizes of all metrics after two steps."""
        return _found(found, case).metrics
