"""Trained potentials as safetensors files: tensors, and plain values as JSON."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import torch

from bench.files.atomic import read_bounded, write_atomically
from bench.files.safetensors_file import decode_safetensors, encode_safetensors
from bench.files.tensors import read_tensors
from bench.files.untrusted import shortened
from bench.spec.user_code import is_reference
from bench.store.store import MAX_WEIGHTS_BYTES
from bench.store.weights import load_weights
from bench.task import TrainedRun
from bench.techniques.offset import NO_OFFSET
from bench.text.errors import BadInput
from suites.molecular.compositions import Compositions
from suites.molecular.exported import ExportedPotential
from suites.molecular.labels import TOTAL_ENERGY_KCAL_MOL, LabelScale
from suites.molecular.models.catalogue import Size, parse_model
from suites.molecular.models.of_spec import spec_model
from suites.molecular.models.potential import build_potential
from suites.molecular.units import convert

#: Of the files that are written.
FORMAT = 2
#: Of those that earlier code wrote with torch, with the weights among the plain values.
TORCH_FORMAT = 1

#: The text of a file that has the plain values.
_TEXT = "potential"
_KEYS = {
    "format",
    "run",
    "problem",
    "model",
    "size",
    "axes",
    "scope",
    "dtype",
    "scale",
    "energy_unit",
    "elements",
    "weights",
}


def export_runs(runs: Sequence[TrainedRun], directory: Path) -> None:
    """Write the potential of each finished run, named after it.

    ``<problem>-<model>-<arm>-seed<k>-<first digits of the run's name>.safetensors``

    Raises:
        BadInput: The directory cannot be written to.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"--export {str(directory)!r}: {error.strerror}") from error
    for run in runs:
        if run.status != "done":
            print(f"bench: {run.spec.title} is {run.status}: not exported", file=sys.stderr)
            continue
        if run.weights is None:
            print(f"bench: {run.spec.title} has no weights: --rerun", file=sys.stderr)
            continue
        spec = run.spec
        title = f"{spec.problem}-{spec.model}-{spec.arm}-seed{spec.seed}"
        name = f"{title}-{spec.hash[:8]}.safetensors"
        path = directory / name.replace(":", "-").replace("/", "-")
        try:
            weights = load_weights(run.weights)
        except (OSError, ValueError) as error:
            reason = shortened(error)
            print(
                f"bench: {run.spec.title} has unreadable weights ({reason}): --rerun",
                file=sys.stderr,
            )
            continue
        text = msgspec.json.encode(described(run)).decode()
        write_atomically(path, encode_safetensors(weights, {_TEXT: text}))
        print(f"bench: wrote {path}", file=sys.stderr)


def described(run: TrainedRun) -> dict[str, Any]:
    """What a file holds beside the weights."""
    spec, scale = run.spec, LabelScale.read(run.task["scale"])
    if spec.settings["total_energies"]:
        # A user of the potential wants the energies of the file.
        unit = convert("kcal/mol", run.task["energy_unit"])
        elements = {
            z: scale.elements.get(z, 0.0) - unit * TOTAL_ENERGY_KCAL_MOL[z]
            for z in run.task["elements"]
        }
        scale = LabelScale(scale.factor, scale.offset, elements)
    return {
        "format": FORMAT,
        "run": spec.hash,
        "problem": spec.problem,
        "model": spec.model,
        "size": asdict(spec_model(spec).size),
        "axes": dict(spec.axes),
        "scope": spec.settings["scope"],
        "dtype": spec.dtype,
        "scale": scale.describe(),
        "energy_unit": run.task["energy_unit"],
        "elements": run.task["elements"],
        # Runs from before it was recorded have none.
        **({"compositions": found} if (found := run.task.get("compositions")) else {}),
    }


def load_potential(path: Path, own_code: bool = False) -> ExportedPotential:
    """A potential that ``--export`` wrote.

    Nothing is unpickled: the file holds tensors, numbers and names.

    Args:
        path: The file; one that ends in ``.pt`` is of the older format.
        own_code: Let the file name modules of your own (``package.module:attribute``), which are
            then imported. Only for files that you trust.

    Raises:
        BadInput: The file is missing, damaged, no potential or newer than this code, or it names
            modules without `own_code`.
    """
    if not path.is_file():
        raise BadInput(f"potential {str(path)!r}: there is no such file")
    try:
        content, known = _read(path)
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"potential {str(path)!r} is unreadable ({shortened(error)})") from error
    written = content.get("format") if isinstance(content, dict) else None
    if type(written) is int and written > FORMAT:
        raise BadInput(f"potential {str(path)!r} has the format {written}, newer than {FORMAT}")
    if type(written) is not int or written != known or not content.keys() >= _KEYS:
        raise BadInput(f"{str(path)!r} is no exported potential")
    try:
        axes = content["axes"]
        own = [axes[axis] for axis in ("activation", "normalization") if is_reference(axes[axis])]
        if own and not own_code:
            said = ", ".join(own)
            raise BadInput(f"potential {str(path)!r} imports {said}: allow it by own_code")
        return rebuilt(content)
    except BadInput:
        raise
    except Exception as error:  # content that does not fit together fails in many ways
        reason = " ".join(str(error).split())
        raise BadInput(
            f"potential {str(path)!r} does not fit together: {type(error).__name__}: {reason}"
        ) from error


def _read(path: Path) -> tuple[Any, int]:
    """What a file holds, not checked, with its weights, and the format it should have.

    Raises:
        OSError: It cannot be opened.
        ValueError: It is damaged or too large.
        RecursionError: Its plain values are nested without end.
    """
    if path.suffix == ".pt":
        return read_tensors(path), TORCH_FORMAT
    weights, texts = decode_safetensors(read_bounded(path, MAX_WEIGHTS_BYTES))
    plain = msgspec.json.decode(texts.get(_TEXT, "{}"), type=dict[str, Any])
    return {**plain, "weights": weights}, FORMAT


def rebuilt(content: Mapping[str, Any]) -> ExportedPotential:
    """The potential that a file's content describes.

    Args:
        content: What `described` gives, and the ``weights``.
    """
    axes = content["axes"]
    size = Size(**content["size"])
    model = parse_model(content["model"], size, axes.get("offset", NO_OFFSET))
    dtype = torch.float64 if content["dtype"] == "float64" else torch.float32
    net = build_potential(model, axes["activation"], axes["normalization"], content["scope"], dtype)
    net.load_state_dict(content["weights"])
    return ExportedPotential(
        net=net.eval(),
        scale=LabelScale.read(content["scale"]),
        energy_unit=content["energy_unit"],
        elements=content["elements"],
        cutoff=size.cutoff,
        dtype=dtype,
        title=f"{content['problem']} {content['model']}, run {content['run']}",
        compositions=Compositions.read(found) if (found := content.get("compositions")) else None,
    )
