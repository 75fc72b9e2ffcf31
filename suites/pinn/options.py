"""The options of the PINN suite, and of its comparison with stock DeepXDE."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from bench.arm import BASELINE
from bench.spec.options import Doc, Options, one_of
from suites.pinn.protocols import PROTOCOLS

#: Which evaluation of the loss; ``auto``: the fastest that gives DeepXDE's losses and gradients.
ENGINES = ("auto", "deepxde")

#: Whether a step is compiled code; ``auto``: where a run is long enough to pay for it.
COMPILE = ("auto", "on", "off")


#: By what new points are drawn; ``problem``: as the problem draws its first ones.
SAMPLERS = ("problem", "rad")


class PINNOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of a run of this suite, beside arms, model, budget and training."""

    protocol: Annotated[str, one_of(PROTOCOLS)] = "standard"
    weights: Annotated[
        tuple[str, ...],
        Doc(
            "weight of a loss term, for instance Lf=10, instead of the protocol's; metrics are not"
            " weighted",
            "TERM=W",
            flag="weight",
            also=("loss-weights",),
        ),
    ] = ()
    supervised: Annotated[
        float | None,
        Doc(
            "fraction of the scored grid's points given as labels, for instance 0.3 (0: none);"
            " without it none under the protocol standard, and under paper the published one, of"
            " which quick takes some hundred points at most",
            "FRACTION",
        ),
    ] = None
    data_root: Annotated[
        Path | None, Doc("folder with PDEBench's HDF5 files, the ground truth then", "DIR")
    ] = None
    sample: Annotated[
        int | None, Doc("which sample of a PDEBench file; without it the first, 0", "K")
    ] = None
    resample: Annotated[
        int | None,
        Doc("draw new collocation points every N steps; without it never, as published", "N"),
    ] = None
    sampler: Annotated[
        str,
        Doc(
            "how --resample draws; problem: as the problem does; rad: more of them where the"
            " residual is large (residual-based adaptive distribution, arXiv 2207.10289)",
            "NAME",
            SAMPLERS,
        ),
    ] = "problem"
    rad_k: Annotated[
        float,
        Doc("k of --sampler rad: the larger, the more points where the residual is large", "K"),
    ] = 1.0
    rad_c: Annotated[
        float, Doc("c of --sampler rad: the larger, the more evenly points are spread", "C")
    ] = 1.0
    compile: Annotated[
        str,
        Doc(
            "compute a step by compiled code, the native kernel and inductor, instead of plain"
            " torch; auto: by what pays over the run",
            "WHEN",
            COMPILE,
        ),
    ] = "auto"
    engine: Annotated[
        str,
        Doc(
            "auto: the fastest that gives DeepXDE's losses and gradients; deepxde: its own",
            "NAME",
            ENGINES,
        ),
    ] = "auto"
    check_engine: Annotated[
        bool,
        Doc("before training compare losses and gradients with DeepXDE's in double precision"),
    ] = False


class PINNSpeedOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which steps are compared with stock DeepXDE's."""

    problems: Annotated[
        tuple[str, ...],
        Doc(
            "a problem; without it the paper's five, and diffusion-reaction-2d also with the"
            " initial points of PDEBench's grid",
            "NAME",
            flag="problem",
        ),
    ] = ()
    arms: Annotated[tuple[str, ...], Doc(f"an arm; without it {BASELINE}", "ARM", flag="arm")] = ()
    model: Annotated[str, Doc("a network", "NAME")] = "fnn"
    initial: Annotated[int | None, Doc("initial points instead of the published 5000", "N")] = None
    seeds: Annotated[
        int, Doc("N seeds trained as one model, too; the time given is a seed's", "N")
    ] = 1
    compile: Annotated[
        str,
        Doc("on: the compiled step, too, which takes a minute to compile", "WHEN", ("on", "off")),
    ] = "on"
