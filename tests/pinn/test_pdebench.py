"""PDEBench files: reading them in the published layouts, and refusing everything else."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from bench.text.errors import BadInput
from suites.pinn.problems import pdebench as pdebench
from suites.pinn.problems.advection import FILE as ADVECTION
from suites.pinn.problems.compressible_flow import FILE as FLOW
from suites.pinn.problems.diffusion_reaction import FILE as REACTION
from suites.pinn.problems.diffusion_sorption import FILE as SORPTION
from suites.pinn.problems.pdebench import read
from suites.pinn.problems.pdebench_file import PDEBenchFile
from suites.pinn.problems.shallow_water import FILE as DAM


def centres(low: float, high: float, n: int) -> np.ndarray:
    step = (high - low) / n
    return low + step * (np.arange(n) + 0.5)


def wave(sample: int, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.sin(2 * np.pi * (x - 0.1 * t) + sample)


def write_advection(
    root: Path,
    *,
    n: int = 64,
    n_times: int = 21,
    samples: int = 3,
    surplus: int = 1,
    beta: float | None = 0.1,
) -> Path:
    x = centres(0, 1, n)
    t = np.linspace(0, 2, n_times)
    path = root / ADVECTION.names[0]
    with h5py.File(path, "w") as file:
        data = [wave(s, x[None, :], t[:, None]) for s in range(samples)]
        file["tensor"] = np.array(data, dtype=np.float32)
        file["x-coordinate"] = x.astype(np.float32)
        times = np.arange(n_times + surplus) * (t[1] - t[0])
        file["t-coordinate"] = times.astype(np.float32)
        if beta is not None:
            file.attrs["beta"] = beta
    return path


def write_flow(root: Path) -> Path:
    x, t = centres(-1, 1, 32), np.linspace(0, 1, 5)
    path = root / FLOW.names[0]
    with h5py.File(path, "w") as file:
        for k, name in enumerate(("density", "Vx", "pressure")):
            field = k + 2 + 0.1 * np.sin(np.pi * x[None, :]) + t[:, None]
            file[name] = np.stack([field, field + 10]).astype(np.float32)
        file["x-coordinate"] = x.astype(np.float32)
        file["t-coordinate"] = (np.arange(6) * 0.25).astype(np.float32)
        file.attrs["eta"] = file.attrs["zeta"] = 1e-8
    return path


def write_groups(
    path: Path,
    fields: dict[int, np.ndarray],
    config: dict | str | None,
    **grid: np.ndarray,
) -> Path:
    with h5py.File(path, "w") as file:
        for sample, data in fields.items():
            group = file.create_group(f"{sample:04d}")
            group.create_dataset("data", data=data, dtype="f4", compression="lzf")
            for name, axis in grid.items():
                group.create_dataset(f"grid/{name}", data=axis, dtype="f4", compression="lzf")
            if config is not None:
                text = config if isinstance(config, str) else yaml.safe_dump(config)
                group.attrs["config"] = text
    return path


SORPTION_CONFIG = {"name": "1d_diff-sorp", "sim": {**SORPTION.parameters, "t": 500, "seed": 0}}


def write_sorption(root: Path, config: dict | str | None = SORPTION_CONFIG) -> Path:
    x, t = centres(0, 1, 16), np.linspace(0, 500, 6)
    field = 0.1 + x[None, :, None] * t[:, None, None] / 500
    fields = {0: field, 1: field + 1}
    return write_groups(root / SORPTION.names[0], fields, config, x=x, t=t)


def write_reaction(root: Path, n: tuple[int, int] = (12, 10)) -> Path:
    x, y, t = centres(-1, 1, n[0]), centres(-1, 1, n[1]), np.linspace(0, 5, 4)
    u = t[:, None, None] + 2 * x[None, :, None] + 3 * y[None, None, :]
    config = {"sim": {**REACTION.parameters, "seed": 0}}
    data = np.stack([u, -u], axis=-1)
    return write_groups(root / REACTION.names[0], {0: data}, config, x=x, y=y, t=t)


def write_dam(root: Path) -> Path:
    x, t = centres(-2.5, 2.5, 20), np.linspace(0, 1, 3)
    radius = np.hypot(x[:, None], x[None, :])
    data = np.where(radius <= 0.6, 2.0, 1.0)[None, :, :, None] * np.ones((3, 1, 1, 1))
    config = {"sim": {"gravity": 1.0, "dam_radius": 0.6, "inner_height": 2.0}}
    return write_groups(root / DAM.names[0], {7: data}, config, x=x, y=x, t=t)


def message(root: Path, expected: PDEBenchFile, sample: int = 0) -> str:
    """The error's text, checked to be one line."""
    with pytest.raises(BadInput) as caught:
        read(root, expected, sample)
    text = str(caught.value)
    assert "\n" not in text
    return text


def edit(path: Path, name: str, data: object = None, *, delete: bool = False) -> None:
    """Replace or delete one dataset of a file."""
    with h5py.File(path, "r+") as file:
        if name in file:
            del file[name]
        if not delete:
            file[name] = data


# --- what is read ---------------------------------------------------------------------------


@pytest.mark.parametrize("surplus", [0, 1])
def test_advection_is_transposed_to_x_t(tmp_path: Path, surplus: int) -> None:
    path = write_advection(tmp_path, surplus=surplus)
    data = read(tmp_path, ADVECTION, sample=2)
    x, t = data.reference.axes
    assert data.reference.values.shape == (64, 21, 1)
    assert data.reference.values.dtype == x.dtype == t.dtype == np.float64
    assert t[0] == 0 and t[-1] == pytest.approx(2.0)
    expected = wave(2, x[:, None], t[None, :])
    np.testing.assert_allclose(data.reference.values[..., 0], expected, atol=1e-6)
    assert data.path == path
    assert data.outputs == (0,)
    assert data.bounds == ((0.0, 1.0), (0.0, 2.0))
    assert data.config == {"beta": 0.1}
    assert data.reference.error is None
    assert "sample 2" in data.reference.method and "64×21" in data.reference.method


def test_periodic_initial_state_matches_the_function_it_was_written_from(tmp_path: Path) -> None:
    write_advection(tmp_path)
    data = read(tmp_path, ADVECTION, sample=1)
    x = np.linspace(-1.5, 2.5, 999)[:, None]
    values = data.initial(x)
    assert values.shape == (999, 1)
    np.testing.assert_allclose(values[:, 0], wave(1, x[:, 0], np.array(0.0)), atol=1e-5)
    # Between the last and the first centre, where nothing but the period is known.
    np.testing.assert_allclose(data.initial(np.zeros((1, 1))), data.initial(np.ones((1, 1))))


def test_flow_has_density_velocity_pressure(tmp_path: Path) -> None:
    write_flow(tmp_path)
    data = read(tmp_path, FLOW, sample=1)
    x, t = data.reference.axes
    base = 0.1 * np.sin(np.pi * x[:, None]) + t[None, :] + 12
    for k in range(3):
        np.testing.assert_allclose(data.reference.values[..., k], base + k, atol=1e-5)
    assert data.outputs == (0, 1, 2)
    assert data.bounds == ((-1.0, 1.0), (0.0, 1.0))
    assert data.config == {"eta": 1e-8, "zeta": 1e-8}
    points = np.array([[-0.99], [0.3], [1.0]])
    wanted = 12 + np.arange(3) + 0.1 * np.sin(np.pi * points)
    np.testing.assert_allclose(data.initial(points), wanted, atol=1e-4)


def test_sorption_initial_state_is_linear_and_clamped(tmp_path: Path) -> None:
    write_sorption(tmp_path)
    data = read(tmp_path, SORPTION)
    x, t = data.reference.axes
    np.testing.assert_allclose(
        data.reference.values[..., 0], 0.1 + x[:, None] * t[None, :] / 500, atol=1e-6
    )
    np.testing.assert_allclose(data.initial(np.array([[-1.0], [0.0], [0.51], [1.0]])), 0.1)
    assert data.config["sim"]["n_f"] == 0.874


def test_reaction_axes_are_x_y_t(tmp_path: Path) -> None:
    write_reaction(tmp_path)
    data = read(tmp_path, REACTION)
    assert data.reference.values.shape == (12, 10, 4, 2)
    x, y, t = np.meshgrid(*data.reference.axes, indexing="ij")
    np.testing.assert_allclose(data.reference.values[..., 0], t + 2 * x + 3 * y, atol=1e-5)
    np.testing.assert_allclose(data.reference.values[..., 1], -(t + 2 * x + 3 * y), atol=1e-5)

    inside = np.random.default_rng(0).uniform(-0.9, 0.9, (50, 2))
    plane = inside @ np.array([2.0, 3.0])
    np.testing.assert_allclose(data.initial(inside), np.stack([plane, -plane], 1), atol=1e-5)
    outermost = data.reference.values[-1, 0, 0]
    np.testing.assert_allclose(data.initial(np.array([[1.0, -1.0]]))[0], outermost)


def test_dam_break_has_one_output_of_three_and_stays_discontinuous(tmp_path: Path) -> None:
    write_dam(tmp_path)
    data = read(tmp_path, DAM, sample=7)
    assert data.reference.n_outputs == 1
    assert data.outputs == (0,)
    assert "1 of 3 outputs (h)" in data.reference.method
    assert data.config["sim"]["dam_radius"] == 0.6
    points = np.random.default_rng(0).uniform(-2.5, 2.5, (500, 2))
    values = data.initial(points)
    assert set(np.unique(values)) == {1.0, 2.0}
    far = np.abs(np.hypot(*points.T) - 0.6) > 0.36
    wanted = np.where(np.hypot(*points.T) <= 0.6, 2.0, 1.0)
    np.testing.assert_array_equal(values[far, 0], wanted[far])


def test_initial_refuses_points_with_time(tmp_path: Path) -> None:
    write_advection(tmp_path)
    initial = read(tmp_path, ADVECTION).initial
    with pytest.raises(ValueError, match=r"points of shape \(4, 2\), expected \(n, 1\)"):
        initial(np.zeros((4, 2)))


def test_finds_the_downloaders_folder(tmp_path: Path) -> None:
    folder = tmp_path / ADVECTION.folder
    folder.mkdir(parents=True)
    path = write_advection(folder)
    assert read(tmp_path, ADVECTION).path == path


def test_sha256_is_of_the_sample_and_not_of_the_file(tmp_path: Path) -> None:
    path = write_advection(tmp_path)
    first, second = read(tmp_path, ADVECTION, 0), read(tmp_path, ADVECTION, 1)
    assert first.sha256 != second.sha256
    reference = first.reference
    content = b"".join(a.astype("<f8").tobytes() for a in (*reference.axes, reference.values))
    content = repr(reference.values.shape).encode() + content
    assert first.sha256 == hashlib.sha256(content).hexdigest()[:16]

    with h5py.File(path, "r+") as file:
        file.attrs["note"] = "another file, the same sample"
    assert read(tmp_path, ADVECTION, 0).sha256 == first.sha256


def test_reads_only_the_one_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    n, n_times, samples = 64, 21, 500
    write_advection(tmp_path, n=n, n_times=n_times, samples=samples)
    taken = []
    original = h5py.Dataset.__getitem__

    def spy(self: h5py.Dataset, *args: object) -> object:
        result = original(self, *args)
        taken.append(np.size(result))
        return result

    monkeypatch.setattr(h5py.Dataset, "__getitem__", spy)
    monkeypatch.setattr(
        h5py.Dataset, "__array__", lambda *_, **__: pytest.fail("a whole dataset was read")
    )
    read(tmp_path, ADVECTION, sample=499)
    assert sum(taken) == n * n_times + n + n_times + 1


def test_parameters_may_be_text_as_yaml_reads_5e_4(tmp_path: Path) -> None:
    write_sorption(
        tmp_path, "sim:\n  D: 5E-4\n  por: 0.29\n  rho_s: 2880\n  k_f: 3.5E-4\n  n_f: 0.874\n"
    )
    assert read(tmp_path, SORPTION).config["sim"]["D"] == "5E-4"


def test_config_of_the_early_generator_is_an_attribute_of_the_file(tmp_path: Path) -> None:
    path = write_sorption(tmp_path, config=None)
    with h5py.File(path, "r+") as file:
        file.attrs["0000/config"] = yaml.safe_dump(SORPTION_CONFIG)
    assert read(tmp_path, SORPTION).config == SORPTION_CONFIG


def test_a_file_without_the_parameter_attribute_is_trusted_by_its_name(tmp_path: Path) -> None:
    write_advection(tmp_path, beta=None)
    assert read(tmp_path, ADVECTION).config == {}


# --- what is refused ------------------------------------------------------------------------


def test_root_missing_or_a_file(tmp_path: Path) -> None:
    assert "does not exist" in message(tmp_path / "nowhere", ADVECTION)
    (tmp_path / "file").touch()
    assert "is not a folder" in message(tmp_path / "file", ADVECTION)


def test_missing_file_names_the_nearest(tmp_path: Path) -> None:
    assert message(tmp_path, ADVECTION) == (
        f"no 1D_Advection_Sols_beta0.1.hdf5 in {tmp_path} or {tmp_path}/1D/Advection/Train; "
        "no HDF5 file there"
    )
    (tmp_path / "2D_rdb_NA_NA.h5").touch()
    near = tmp_path / ADVECTION.folder / "1D_Advection_Sols_beta0.4.hdf5"
    near.parent.mkdir(parents=True)
    near.touch()
    assert message(tmp_path, ADVECTION).endswith(f"the nearest file there is {near}")
    two = replace(ADVECTION, names=("a.h5", "b.h5"))
    assert message(tmp_path, two).startswith("no a.h5 or b.h5 in ")


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_advection(tmp_path)

    def denied(self: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", denied)
    assert message(tmp_path, ADVECTION) == f"{path}: cannot be opened: Permission denied"


@pytest.mark.parametrize("content", [b"", b"<html>404</html>"])
def test_not_hdf5(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / ADVECTION.names[0]
    path.write_bytes(content)
    assert message(tmp_path, ADVECTION) == f"{path}: not an HDF5 file"


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.999])
@pytest.mark.parametrize("layout", ["arrays", "groups"])
def test_truncated(tmp_path: Path, kept: float, layout: str) -> None:
    arrays = layout == "arrays"
    path = write_advection(tmp_path) if arrays else write_sorption(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    text = message(tmp_path, ADVECTION if arrays else SORPTION)
    assert text.startswith(f"{path}: damaged or truncated HDF5 file: ")


def test_damaged_chunk(tmp_path: Path) -> None:
    path = write_reaction(tmp_path)
    with h5py.File(path) as file:
        chunk = file["0000/data"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = b"\xff" * chunk.size
    path.write_bytes(content)
    assert message(tmp_path, REACTION).startswith(f"{path}: damaged or truncated HDF5 file: ")


@pytest.mark.parametrize(
    ("writer", "expected", "name", "present"),
    [
        (write_flow, FLOW, "Vx", "density, pressure, t-coordinate, x-coordinate"),
        (write_advection, ADVECTION, "t-coordinate", "tensor, x-coordinate"),
        (write_sorption, SORPTION, "0000/data", "grid"),
        (write_sorption, SORPTION, "0000/grid/x", "data, grid"),
    ],
)
def test_missing_dataset(tmp_path: Path, writer, expected, name: str, present: str) -> None:
    edit(writer(tmp_path), name, delete=True)
    where = " in 0000" if expected is SORPTION else ""
    text = message(tmp_path, expected)
    assert text.endswith(f"no dataset {name.removeprefix('0000/')}{where}; it holds {present}")


def test_missing_dataset_in_a_file_of_many(tmp_path: Path) -> None:
    path = tmp_path / ADVECTION.names[0]
    with h5py.File(path, "w") as file:
        for i in range(10):
            file.create_group(f"{i:04d}")
    assert message(tmp_path, ADVECTION).endswith("0006, 0007 and 2 more")


def test_groups_expected_but_arrays_found(tmp_path: Path) -> None:
    write_advection(tmp_path).rename(tmp_path / SORPTION.names[0])
    assert message(tmp_path, SORPTION).endswith(
        "no groups 0000, 0001, …; it holds t-coordinate, tensor, x-coordinate"
    )


@pytest.mark.parametrize(
    ("writer", "expected", "name", "shape", "text"),
    [
        (write_advection, ADVECTION, "tensor", (3, 21, 64, 1), "expected (samples, t, x)"),
        (write_flow, FLOW, "Vx", (2, 5, 31), "Vx has shape (2, 5, 31), density (2, 5, 32)"),
        (write_advection, ADVECTION, "t-coordinate", (24,), "but the data need (21,)"),
        (write_advection, ADVECTION, "x-coordinate", (64, 1), "but the data need (64,)"),
        (write_advection, ADVECTION, "x-coordinate", (), "has shape (), but the data"),
        (write_sorption, SORPTION, "0000/data", (6, 16), "expected (t, x, 1), channels u"),
        (write_reaction, REACTION, "0000/data", (4, 12, 10, 1), "(t, x, y, 2), channels u, v"),
        (write_reaction, REACTION, "0000/data", (4, 10, 12, 2), "grid/x has shape (12,), but"),
        (write_sorption, SORPTION, "0000/data", (1, 16, 1), "grid/t has shape (6,), but"),
    ],
)
def test_wrong_shape(tmp_path: Path, writer, expected, name, shape, text: str) -> None:
    edit(writer(tmp_path), name, np.zeros(shape, dtype=np.float32))
    assert text in message(tmp_path, expected)


def test_a_single_time_is_no_solution(tmp_path: Path) -> None:
    path = write_sorption(tmp_path)
    edit(path, "0000/data", np.zeros((1, 16, 1), dtype=np.float32))
    edit(path, "0000/grid/t", np.zeros(1, dtype=np.float32))
    assert "0000/grid/t has length 1, at least 2 needed" in message(tmp_path, SORPTION)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (np.zeros((3, 21, 64), dtype=np.int64), "int64"),
        (np.zeros((3, 21, 64), dtype=np.complex64), "complex64"),
        (np.full((3, 21, 64), b"a"), "S1"),
    ],
)
def test_wrong_type(tmp_path: Path, value: np.ndarray, name: str) -> None:
    edit(write_advection(tmp_path), "tensor", value)
    text = message(tmp_path, ADVECTION)
    assert "tensor is of type" in text and name in text and text.endswith("expected float")


def test_empty_dataset(tmp_path: Path) -> None:
    edit(write_advection(tmp_path), "tensor", h5py.Empty("f4"))
    assert message(tmp_path, ADVECTION).endswith("tensor is empty")


def test_nan_is_refused_in_the_sample_that_is_read(tmp_path: Path) -> None:
    path = write_advection(tmp_path)
    with h5py.File(path, "r+") as file:
        file["tensor"][1, 3, 4:6] = np.nan
        file["tensor"][1, 5, 0] = np.inf
    assert read(tmp_path, ADVECTION, 0)
    assert message(tmp_path, ADVECTION, 1) == (
        f"{path}: tensor holds 3 NaN or infinite values in this sample"
    )


def test_coordinates_must_ascend_and_be_finite(tmp_path: Path) -> None:
    path = write_advection(tmp_path)
    with h5py.File(path, "r+") as file:
        file["t-coordinate"][5] = 0.0
    assert message(tmp_path, ADVECTION).endswith(
        "t-coordinate is not ascending: 0.4, 0 at entries 4 and 5"
    )
    with h5py.File(path, "r+") as file:
        file["x-coordinate"][5] = np.nan
    assert "x-coordinate holds 1 NaN" in message(tmp_path, ADVECTION)


def test_cells_must_be_equal(tmp_path: Path) -> None:
    path = write_advection(tmp_path)
    with h5py.File(path, "r+") as file:
        file["x-coordinate"][5] += 0.005
    assert message(tmp_path, ADVECTION).endswith("the x coordinates are not evenly spaced")


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        (((-1.0, 1.0), (0.0, 2.0)), "x runs from 0 to 1 in the file, from -1 to 1 in the problem"),
        (((0.0, 1.0), (0.0, 1.0)), "t runs from 0 to 2 in the file, from 0 to 1 in the problem"),
    ],
)
def test_another_domain(tmp_path: Path, bounds, text: str) -> None:
    write_advection(tmp_path)
    assert message(tmp_path, replace(ADVECTION, bounds=bounds)).endswith(text)


@pytest.mark.parametrize("sample", [-1, 3])
def test_sample_out_of_range_of_arrays(tmp_path: Path, sample: int) -> None:
    write_advection(tmp_path)
    assert message(tmp_path, ADVECTION, sample).endswith(
        f"no sample {sample}: it holds 3 samples, counted from 0"
    )


@pytest.mark.parametrize("sample", [-1, 2])
def test_sample_out_of_range_of_groups(tmp_path: Path, sample: int) -> None:
    write_sorption(tmp_path)
    assert message(tmp_path, SORPTION, sample).endswith(
        f"no sample {sample}: it holds 2 samples, 0000 to 0001"
    )


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ("sim: [1,\n  2: }", "config of 0000 is not YAML: "),
        ("- 1\n- 2", "config of 0000 is not a YAML mapping: - 1 - 2"),
        ("!!python/object/apply:os.getcwd []", "config of 0000 is not YAML: "),
        ("at: 2022-99-99", "config of 0000 is not YAML: "),
        ("[" * 5000, "config of 0000 is not YAML: "),
        (None, "sample 0000 has no attribute config with YAML text"),
        ({"sim": {"por": 0.29}}, "its configuration gives no D (the problem's: 0.0005)"),
        ({"sim": 3}, "its configuration gives no D (the problem's: 0.0005)"),
        ({"sim": {**SORPTION.parameters, "D": 1e-3}}, "D is 0.001 in the file, 0.0005 in the"),
        ({"sim": {**SORPTION.parameters, "D": None}}, "D is None, not a number"),
        ({"sim": {**SORPTION.parameters, "D": float("nan")}}, "D is nan in the file"),
    ],
)
def test_wrong_configuration(tmp_path: Path, config, text: str) -> None:
    write_sorption(tmp_path, config)
    assert text in message(tmp_path, SORPTION)


def test_another_parameter_in_an_attribute(tmp_path: Path) -> None:
    write_advection(tmp_path, beta=0.4)
    assert message(tmp_path, ADVECTION).endswith("beta is 0.4 in the file, 0.1 in the problem")


def test_absurd_size_is_refused_before_reading(tmp_path: Path) -> None:
    n, n_times = 2**16, 2**13
    with h5py.File(tmp_path / ADVECTION.names[0], "w") as file:
        file.create_dataset("tensor", (1, n_times, n), dtype="f4", chunks=(1, 1, n))
        file["x-coordinate"] = centres(0, 1, n)
        file["t-coordinate"] = np.linspace(0, 2, n_times)
    assert message(tmp_path, ADVECTION).endswith("takes 4 GiB, more than the limit of 2 GiB")


def test_absurd_size_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_reaction(tmp_path)
    monkeypatch.setattr(pdebench, "MAX_SAMPLE_BYTES", 1024)
    assert "one sample has shape (4, 12, 10, 2)" in message(tmp_path, REACTION)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"outputs": (0, 1)}, "1 fields for 2 outputs"),
        ({"bounds": (None,)}, "1 bounds for 2 inputs"),
        ({"space": ("x", "y"), "bounds": (None,) * 3}, "needs one space dimension"),
    ],
)
def test_inconsistent_expectations(changes: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        replace(ADVECTION, **changes)
