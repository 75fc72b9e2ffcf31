"""Ground truths from downloaded PDEBench files (HDF5; Takamoto et al., arXiv 2210.07182).

Two layouts are published (doi:10.18419/darus-2986):

``arrays`` (``1D_Advection_Sols_*.hdf5``, ``1D_CFD_*.hdf5``)
    One dataset a field, shape ``(samples, t, x[, y])``, with ``x-coordinate`` and
    ``t-coordinate`` shared by all samples. The generators write one time too many into
    ``t-coordinate``; the surplus is the last one. Parameters are attributes of the file.

``groups`` (``1D_diff-sorp_NA_NA.h5``, ``2D_diff-react_NA_NA.h5``, ``2D_rdb_NA_NA.h5``)
    One group a sample, ``0000``, ``0001``, …, with ``data`` of shape ``(t, x[, y], channels)``,
    ``grid/x``, ``grid/y``, ``grid/t``, and the generator's configuration as YAML text in the
    attribute ``config``.

All space coordinates are centres of equal cells; numbers are float32. The diffusion–reaction
generator fills ``data`` as ``(t, y, x, channels)``, whereas PDEBench's own PINN reads it as
``(t, x, y, channels)``, as this module does: with equal extents and diffusion isotropic, the
transposed field solves the same equations.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import math
import reprlib
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml
from scipy.interpolate import CubicSpline, RegularGridInterpolator

from bench.files.untrusted import shortened
from bench.text.errors import BadInput
from suites.pinn.problems.pdebench_file import Bounds, Interpolation, PDEBenchFile
from suites.pinn.problems.truth import Truth
from suites.pinn.reference.reference import Reference

MAX_SAMPLE_BYTES = 2 * 1024**3
"""Largest sample that is read, as float64, and largest chunk of a file; the published ones need
26 MiB at most."""

MAX_CONFIG_CHARACTERS = 2**16
"""Longest configuration of a sample that is read: what HDF5 keeps in a sample's own header."""

LARGEST_COORDINATE = 1e100
"""Of any axis; the published ones end at 500."""

# Filters that leave a chunk's size as it is, but for a checksum.
_CHECKED_FILTERS = (h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32)

#: LZF makes at most 264 bytes of 3.
_LZF_RATIO = 88

Sample = tuple[tuple[np.ndarray, ...], np.ndarray, dict[str, Any]]


@dataclass(frozen=True)
class PDEBenchData:
    """One sample of a PDEBench file.

    Attributes:
        reference: The solution on the file's grid, axes x[, y], t, one column per entry of
            `outputs`, without an error estimate.
        initial: The first time slice as a function: points of shape ``(n, n_space)`` to values
            of shape ``(n, len(outputs))``. Beyond the outermost cell centres it is periodic or
            constant, by `PDEBenchFile.interpolation`.
        outputs: Network output that each column is the truth of.
        bounds: Ends of the domain per input, space first, time last: the problem's where it
            gives them, else the outer cell faces and the first and last time.
        path: The file that was read.
        sha256: First 16 hexadecimal digits of the SHA-256 of this sample's axes and values.
        config: The sample's configuration (``groups``) or, of the file's attributes, the problem's
            parameters (``arrays``).
    """

    reference: Reference
    initial: Callable[[np.ndarray], np.ndarray]
    outputs: tuple[int, ...]
    bounds: tuple[Bounds, ...]
    path: Path
    sha256: str
    config: dict[str, Any]


def read(root: Path, expected: PDEBenchFile, sample: int = 0) -> PDEBenchData:
    """Read one sample, and nothing else, of the file that a problem expects below `root`.

    Args:
        root: Folder with the downloaded files, flat or as PDEBench's downloader sorts them.
        expected: What the file must hold.
        sample: Index of the sample, from 0.

    Raises:
        BadInput: Where the file is missing, is damaged, or contradicts `expected`.
    """
    try:
        path = _find(Path(root), expected)
    except OSError as error:
        raise BadInput(f"{error.filename}: cannot be opened: {error.strerror}") from error
    try:
        with h5py.File(path, "r") as file:
            if expected.layout == "arrays":
                axes, values, config = _read_arrays(path, file, expected, sample)
            else:
                axes, values, config = _read_group(path, file, expected, sample)
    except BadInput:
        raise
    except Exception as error:
        # HDF5 has no exception type of its own for a damaged file, and h5py refuses what NumPy
        # cannot hold in many ways.
        raise BadInput(f"{path}: damaged or truncated HDF5 file: {shortened(error)}") from error
    bounds = _checked_bounds(path, axes, expected)
    return PDEBenchData(
        reference=Reference(axes, values, _method(path, sample, values, expected)),
        initial=_interpolant(axes[:-1], values[..., 0, :], bounds[:-1], expected.interpolation),
        outputs=expected.outputs,
        bounds=bounds,
        path=path,
        sha256=_digest(axes, values),
        config=config,
    )


def _find(root: Path, expected: PDEBenchFile) -> Path:
    """The expected file below `root`, known to be readable and HDF5."""
    if not root.is_dir():
        problem = "is not a folder" if root.exists() else "does not exist"
        raise BadInput(f"data root {root} {problem}")
    folders = list(dict.fromkeys((root, root / expected.folder)))
    for path in (folder / name for name in expected.names for folder in folders):
        if not path.is_file():
            continue
        with path.open("rb"):
            pass  # h5py would call an unreadable file "not HDF5"
        if not h5py.is_hdf5(path):
            raise BadInput(f"{path}: not an HDF5 file")
        return path
    present = {
        file.name: file
        for folder in folders
        if folder.is_dir()
        for file in sorted(folder.iterdir())
        if file.suffix in (".h5", ".hdf5")
    }
    nearest = difflib.get_close_matches(expected.names[0], present, n=1, cutoff=0.0)
    hint = f"the nearest file there is {present[nearest[0]]}" if nearest else "no HDF5 file there"
    raise BadInput(f"no {' or '.join(expected.names)} in {' or '.join(map(str, folders))}; {hint}")


def _read_arrays(path: Path, file: h5py.File, expected: PDEBenchFile, sample: int) -> Sample:
    """Axes x[, y], t, values ``(x[, y], t, outputs)``, and attributes of one sample."""
    fields = [_dataset(path, file, name) for name in expected.fields]
    first = fields[0]
    if first.ndim != len(expected.space) + 2:
        wanted = ", ".join(("samples", "t", *expected.space))
        raise BadInput(f"{path}: {_name(first)} has shape {first.shape}, expected ({wanted})")
    for data in fields:
        if data.shape != first.shape:
            raise BadInput(
                f"{path}: {_name(data)} has shape {data.shape}, {_name(first)} {first.shape}"
            )
    n_samples, n_times, *extents = first.shape
    if not 0 <= sample < n_samples:
        raise BadInput(f"{path}: no sample {sample}: it holds {n_samples} samples, counted from 0")
    config = {name: _scalar(file.attrs[name]) for name in expected.parameters if name in file.attrs}
    _check_parameters(path, config, {name: expected.parameters[name] for name in config})

    times = _dataset(path, file, "t-coordinate")
    grid = [_dataset(path, file, f"{name}-coordinate") for name in expected.space]
    # The generators append one time that no slice belongs to.
    surplus = 1 if times.shape == (n_times + 1,) else 0
    _check_lengths(path, [*grid, times], [*extents, n_times + surplus])
    _check_size(path, n_times, *extents, len(fields))
    axes = tuple(_axis(path, data) for data in (*grid, times))
    values = np.empty((*extents, n_times, len(fields)))
    for column, data in enumerate(fields):
        values[..., column] = np.moveaxis(_floats(path, data, sample), 0, -1)
    return (*axes[:-1], axes[-1][:n_times]), values, config


def _read_group(path: Path, file: h5py.File, expected: PDEBenchFile, sample: int) -> Sample:
    """Axes x[, y], t, values ``(x[, y], t, outputs)``, and configuration of one sample."""
    key = f"{sample:04d}"
    group = _member(path, file, key)
    if not isinstance(group, h5py.Group):
        keys = sorted(name for name in file if name.isdecimal() and len(name) < 20)
        if not keys:
            raise BadInput(f"{path}: no groups 0000, 0001, …; it holds {_listing(file)}")
        raise BadInput(
            f"{path}: no sample {sample}: it holds {len(keys)} samples, {keys[0]} to {keys[-1]}"
        )
    config = _configuration(path, file, group)
    _check_parameters(path, config.get("sim", config), expected.parameters)

    data = _dataset(path, group, "data")
    if data.ndim != len(expected.space) + 2 or data.shape[-1] != len(expected.fields):
        wanted = ", ".join(("t", *expected.space, str(len(expected.fields))))
        raise BadInput(
            f"{path}: {_name(data)} has shape {data.shape}, expected ({wanted}), "
            f"channels {', '.join(expected.fields)}"
        )
    n_times, *extents, n_channels = data.shape
    grid = [_dataset(path, group, f"grid/{name}") for name in (*expected.space, "t")]
    _check_lengths(path, grid, [*extents, n_times])
    _check_size(path, n_times, *extents, n_channels)
    axes = tuple(_axis(path, coordinate) for coordinate in grid)
    return axes, np.moveaxis(_floats(path, data), 0, -2).copy(), config


def _configuration(path: Path, file: h5py.File, group: h5py.Group) -> dict[str, Any]:
    """The YAML configuration of one sample."""
    key = group.name.strip("/")
    # Early versions of the diffusion–sorption generator attach it to the file.
    text = group.attrs.get("config", file.attrs.get(f"{key}/config"))
    if isinstance(text, bytes):
        text = text.decode("utf-8", errors="replace")
    if not isinstance(text, str):
        raise BadInput(f"{path}: sample {key} has no attribute config with YAML text")
    if len(text) > MAX_CONFIG_CHARACTERS:
        raise BadInput(
            f"{path}: config of {key} has {len(text)} characters, more than the limit of"
            f" {MAX_CONFIG_CHARACTERS}"
        )
    try:
        # References multiply: a few lines can stand for more than memory holds.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise BadInput(f"{path}: config of {key} has YAML aliases, which are not read")
        config = yaml.safe_load(text)
    except BadInput:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput(f"{path}: config of {key} is not YAML: {shortened(error)}") from error
    if not isinstance(config, dict):
        raise BadInput(f"{path}: config of {key} is not a YAML mapping: {shortened(text)}")
    return config


def _check_parameters(path: Path, found: Any, wanted: Mapping[str, float]) -> None:
    """Refuse a file that was made with other physical parameters than the problem's."""
    for name, value in wanted.items():
        if not isinstance(found, Mapping) or name not in found:
            raise BadInput(f"{path}: its configuration gives no {name} (the problem's: {value:g})")
        try:
            # YAML 1.1 reads 5E-4, without a point, as text.
            number = float(found[name])
        except (TypeError, ValueError):
            raise BadInput(
                f"{path}: {name} is {reprlib.repr(found[name])}, not a number (the problem's:"
                f" {value:g})"
            ) from None
        if not math.isclose(number, value, rel_tol=1e-6):
            raise BadInput(f"{path}: {name} is {number:g} in the file, {value:g} in the problem")


def _check_lengths(path: Path, grid: list[h5py.Dataset], lengths: list[int]) -> None:
    """Refuse coordinates that do not fit the data, before anything is read."""
    for coordinate, length in zip(grid, lengths, strict=True):
        if coordinate.shape != (length,):
            raise BadInput(
                f"{path}: {_name(coordinate)} has shape {coordinate.shape}, "
                f"but the data need ({length},)"
            )
        if length < 2:
            raise BadInput(f"{path}: {_name(coordinate)} has length {length}, at least 2 needed")


def _check_size(path: Path, *shape: int) -> None:
    """Refuse a sample that would not fit memory, before it is allocated."""
    size = 8 * math.prod(shape)
    if size > MAX_SAMPLE_BYTES:
        raise BadInput(
            f"{path}: one sample has shape {shape} and takes {size / 1024**3:.3g} GiB, "
            f"more than the limit of {MAX_SAMPLE_BYTES / 1024**3:g} GiB"
        )


def _member(path: Path, parent: h5py.Group, name: str) -> h5py.Group | h5py.Dataset | None:
    """What a group holds under a name, where the file itself holds it.

    Raises:
        BadInput: It is a link to another place, which may be another file.
    """
    found = parent
    for part in name.split("/"):
        if not isinstance(found, h5py.Group) or part not in found.keys():  # noqa: SIM118
            return None
        if not isinstance(found.get(part, getlink=True), h5py.HardLink):
            raise BadInput(f"{path}: {part} is a link, which is not followed")
        found = found[part]
    return found


def _dataset(path: Path, parent: h5py.Group, name: str) -> h5py.Dataset:
    """A dataset of floating-point numbers that are all in this file, not yet read."""
    data = _member(path, parent, name)
    if not isinstance(data, h5py.Dataset):
        where = "" if parent.name == "/" else f" in {parent.name.strip('/')}"
        raise BadInput(f"{path}: no dataset {name}{where}; it holds {_listing(parent)}")
    if data.dtype.kind != "f":
        raise BadInput(f"{path}: {_name(data)} is of type {data.dtype}, expected float")
    if data.shape is None:
        raise BadInput(f"{path}: {_name(data)} is empty")
    if data.is_virtual or data.external:
        raise BadInput(f"{path}: {_name(data)} has its values in another file, which is not read")
    return data


def _floats(path: Path, data: h5py.Dataset, sample: int | None = None) -> np.ndarray:
    """A dataset, or a row of it, as finite float64."""
    if not data.id.get_storage_size():
        raise BadInput(f"{path}: {_name(data)} has no values: they were never written")
    _check_chunks(path, data, sample)
    values = np.asarray(data[... if sample is None else sample], dtype=np.float64)
    bad = values.size - np.count_nonzero(np.isfinite(values))
    if bad:
        raise BadInput(f"{path}: {_name(data)} holds {bad} NaN or infinite values in this sample")
    return values


def _check_chunks(path: Path, data: h5py.Dataset, sample: int | None) -> None:
    """Refuse chunks that are larger than they should be, before HDF5 unpacks them.

    HDF5 unpacks whatever a chunk holds and compares it with the chunk's size afterwards.
    """
    if data.chunks is None:
        return
    size = math.prod(data.chunks) * data.dtype.itemsize
    pipeline = data.id.get_create_plist()
    filters = [pipeline.get_filter(k)[0] for k in range(pipeline.get_nfilters())]
    packing = [code for code in filters if code not in _CHECKED_FILTERS]
    if len(packing) > 1 or not {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_LZF}.issuperset(packing):
        raise BadInput(
            f"{path}: {_name(data)} is compressed by the filters {packing}; gzip or LZF are read"
        )
    if size > MAX_SAMPLE_BYTES:
        raise BadInput(
            f"{path}: {_name(data)} has chunks of {size / 1024**3:.3g} GiB, more than the limit of"
            f" {MAX_SAMPLE_BYTES / 1024**3:g} GiB"
        )
    if not packing:
        return
    rows = slice(None) if sample is None else slice(sample, sample + 1)
    for chunk in data.iter_chunks((rows, *(slice(None) for _ in data.shape[1:]))):
        # The offset of a chunk is that of its first entry, which a row may not have.
        offset = tuple(
            part.start - part.start % length
            for part, length in zip(chunk, data.chunks, strict=True)
        )
        stored = data.id.get_chunk_info_by_coord(offset)
        if stored.byte_offset is None:
            continue
        if stored.filter_mask >> filters.index(packing[0]) & 1:
            continue  # kept as it is
        if stored.size > size + size // 100 + 64:
            too_large = True
        elif packing[0] == h5py.h5z.FILTER_LZF:
            too_large = stored.size * _LZF_RATIO > MAX_SAMPLE_BYTES
        else:
            too_large = _inflates_beyond(data.id.read_direct_chunk(offset)[1], size)
        if too_large:
            raise BadInput(f"{path}: {_name(data)} unpacks to more than its size")


def _inflates_beyond(packed: bytes, size: int) -> bool:
    """Whether a deflated chunk has more than `size` bytes, give or take a checksum."""
    unpack = zlib.decompressobj()
    left = size + 64
    while packed and not unpack.eof and left > 0:
        left -= len(unpack.decompress(packed, min(left, 2**24)))
        packed = unpack.unconsumed_tail
    return left <= 0


def _axis(path: Path, data: h5py.Dataset) -> np.ndarray:
    """A coordinate axis, strictly ascending."""
    axis = _floats(path, data)
    if np.abs(axis).max() > LARGEST_COORDINATE:
        raise BadInput(f"{path}: {_name(data)} goes beyond {LARGEST_COORDINATE:g}")
    steps = np.diff(axis)
    if not (steps > 0).all():
        i = int(np.argmin(steps > 0))
        raise BadInput(
            f"{path}: {_name(data)} is not ascending: {axis[i]:g}, {axis[i + 1]:g} "
            f"at entries {i} and {i + 1}"
        )
    return axis


def _checked_bounds(
    path: Path, axes: tuple[np.ndarray, ...], expected: PDEBenchFile
) -> tuple[Bounds, ...]:
    """Ends of the domain per axis, checked against the problem's where it gives them."""
    bounds = []
    for name, axis, wanted in zip((*expected.space, "t"), axes, expected.bounds, strict=True):
        step = (axis[-1] - axis[0]) / (len(axis) - 1)
        if name == "t":
            margin = 0.0
        else:
            margin = step / 2
            # float32 rounds the centres of 1024 cells by 1e-4 of a cell.
            if np.abs(np.diff(axis) - step).max() > 0.01 * step:
                raise BadInput(f"{path}: the {name} coordinates are not evenly spaced")
        # float32 carries seven digits: the rest is noise, in the domain and in messages.
        digits = 6 - round(math.log10(axis[-1] - axis[0]))
        low, high = (
            round(float(end), digits) + 0.0 for end in (axis[0] - margin, axis[-1] + margin)
        )
        if wanted is None:
            bounds.append((low, high))
            continue
        if max(abs(low - wanted[0]), abs(high - wanted[1])) > 0.1 * step:
            raise BadInput(
                f"{path}: {name} runs from {low:g} to {high:g} in the file, "
                f"from {wanted[0]:g} to {wanted[1]:g} in the problem"
            )
        bounds.append(wanted)
    return tuple(bounds)


def _interpolant(
    axes: tuple[np.ndarray, ...],
    values: np.ndarray,
    bounds: tuple[Bounds, ...],
    method: Interpolation,
) -> Callable[[np.ndarray], np.ndarray]:
    """The state `values`, shape ``(x[, y], outputs)``, as a function of the points in space."""
    if method == "periodic-cubic":
        (x,) = axes
        ((low, high),) = bounds
        spline = CubicSpline(
            np.append(x, x[0] + (high - low)),
            np.concatenate((values, values[:1])),
            bc_type="periodic",
        )

        def evaluate(points: np.ndarray) -> np.ndarray:
            return spline(points[:, 0])
    else:
        grid = RegularGridInterpolator(axes, values, method=method)
        lowest = np.array([axis[0] for axis in axes])
        highest = np.array([axis[-1] for axis in axes])

        def evaluate(points: np.ndarray) -> np.ndarray:
            return grid(np.clip(points, lowest, highest))

    def initial(points: np.ndarray) -> np.ndarray:
        points = np.asarray(points, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != len(axes):
            raise ValueError(f"points of shape {points.shape}, expected (n, {len(axes)})")
        return evaluate(points)

    return initial


def _method(path: Path, sample: int, values: np.ndarray, expected: PDEBenchFile) -> str:
    """`Reference.method` of a sample."""
    text = f"PDEBench, {path.name}, sample {sample}, grid {_text(values.shape[:-1], '×')}"
    if len(expected.outputs) < expected.n_outputs:
        text += f", {len(expected.outputs)} of {expected.n_outputs} outputs"
        text += f" ({', '.join(expected.fields)})"
    return text


def _digest(axes: tuple[np.ndarray, ...], values: np.ndarray) -> str:
    """`PDEBenchData.sha256` of a sample, the same on every platform."""
    digest = hashlib.sha256(repr(values.shape).encode())
    for array in (*axes, values):
        digest.update(np.ascontiguousarray(array, dtype="<f8"))
    return digest.hexdigest()[:16]


def _scalar(value: Any) -> Any:
    """An attribute as a plain Python value."""
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value


def _name(node: h5py.Dataset) -> str:
    return node.name.strip("/")


def _text(items: Iterable[object], separator: str = ", ") -> str:
    return separator.join(map(str, items))


def _listing(group: h5py.Group) -> str:
    """The members of a group for a message, shortened."""
    names = list(group)
    shown = shortened(", ".join(names[:8])) or "nothing"
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"


@functools.lru_cache(maxsize=8)
def pdebench_truth(root: Path, expected: PDEBenchFile, sample: int) -> Truth:
    """The truth that one sample of a downloaded file gives, read once a process.

    Outputs that the file does not store start from 0 (the dam break's velocities).

    Raises:
        BadInput: The file is missing or wrong.
    """
    found = read(root, expected, sample)

    def initial(points: np.ndarray) -> np.ndarray:
        values = np.zeros((len(points), expected.n_outputs))
        values[:, found.outputs] = found.initial(points)
        return values

    return Truth(found.reference, initial, found.outputs, found.bounds, found.sha256)
