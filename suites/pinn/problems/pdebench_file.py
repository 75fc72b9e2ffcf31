"""What a problem expects of its PDEBench file.

Apart from the reader, so that a problem can be listed without importing h5py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Layout = Literal["arrays", "groups"]
Interpolation = Literal["periodic-cubic", "linear", "nearest"]
Bounds = tuple[float, float]


@dataclass(frozen=True)
class PDEBenchFile:
    """What a problem expects of its PDEBench file.

    Attributes:
        names: Accepted file names; the first one that exists is read.
        layout: ``arrays`` or ``groups``, see `suites.pinn.problems.pdebench`.
        fields: One name per stored output: the datasets of ``arrays``, the channels of
            ``groups`` (there only for messages).
        outputs: Index of the network output that each field is the truth of.
        n_outputs: Number of network outputs; more than ``len(outputs)`` where the file does
            not store them all (``2D_rdb_NA_NA.h5`` holds the height only).
        space: Names of the space coordinates, in the order of the network's inputs.
        folder: Folder below the root into which PDEBench's downloader puts the file; the root
            itself is searched first.
        parameters: Physical parameters by their name in the file: in ``groups`` required below
            ``sim`` of the configuration, in ``arrays`` compared with the file's attribute
            where there is one (the file's name carries them as well).
        bounds: Ends of the domain per input, space first, time last, in the problem's units;
            ``None`` for an axis that the file decides.
        interpolation: How `PDEBenchData.initial` interpolates between cell centres:
            ``periodic-cubic`` (one space dimension), ``linear``, or ``nearest`` for a
            discontinuous state. Only the first may exceed the range of the data.
    """

    names: tuple[str, ...]
    layout: Layout
    fields: tuple[str, ...]
    outputs: tuple[int, ...]
    n_outputs: int
    space: tuple[str, ...]
    bounds: tuple[Bounds | None, ...]
    interpolation: Interpolation
    folder: str = ""
    parameters: Mapping[str, float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if len(self.fields) != len(self.outputs):
            raise ValueError(f"{len(self.fields)} fields for {len(self.outputs)} outputs")
        if len(self.bounds) != len(self.space) + 1:
            raise ValueError(f"{len(self.bounds)} bounds for {len(self.space) + 1} inputs")
        if self.interpolation == "periodic-cubic" and len(self.space) != 1:
            raise ValueError("periodic-cubic interpolation needs one space dimension")
