"""The published figures, found by what a run trains; and the loss as an option."""

from __future__ import annotations

import csv
from importlib.resources import files

import pytest
from molecular_specs import specify, task

from bench.task import PublishedFigures
from bench.text.errors import BadInput
from suites.molecular.suite import SUITE

PAPER = ("--protocol", "paper")


def values(model: str, arm: str, *arguments: str, **given: str) -> dict[str, float]:
    found = SUITE.published(specify(model, arm, *(arguments or PAPER), **given))
    return {figure.metric: figure.value for figure in found}


def test_the_suite_has_published_figures() -> None:
    assert isinstance(SUITE, PublishedFigures)
    assert "2310.01649" in SUITE.published_source


@pytest.mark.parametrize(
    ("model", "arm", "problem", "energy", "forces"),
    [
        ("cgcnn", "baseline", "xtb-aspirin", 239.078, 14.2065),
        ("cgcnn", "irelu", "xtb-salicylic-acid", 109.161, 35.3249),
        ("cgcnn", "rescale", "xtb-ethanol", 858.779, 13.6742),
        ("cgcnn", "denorm+rescale", "xtb-ethanol", None, None),
        ("schnet", "denorm", "xtb-ethanol", 5.97, 0.686),
    ],
)
def test_a_run_has_the_figures_of_its_cell(
    model: str, arm: str, problem: str, energy: float | None, forces: float | None
) -> None:
    found = values(model, arm, problem=problem)
    assert set(found) == {"MAE_E", "MAE_F"}
    if energy is not None:
        assert found["MAE_E"] == pytest.approx(energy, rel=1e-3)
        assert found["MAE_F"] == pytest.approx(forces, rel=1e-3)


def test_denormalised_is_another_cell_than_normalised() -> None:
    assert values("cgcnn", "denorm+rescale") != values("cgcnn", "rescale")
    assert values("schnet", "denorm+rescale") == values("schnet", "rescale")


@pytest.mark.parametrize(
    ("model", "arm"),
    [
        ("cgcnn", "denorm"),  # a cell that the paper leaves empty
        ("cgcnn", "ielu"),
        ("cgcnn", "rescale=100"),
        ("cgcnn", "layernorm"),
        ("painn", "baseline"),
    ],
)
def test_what_was_not_published_has_none(model: str, arm: str) -> None:
    assert values(model, arm) == {}


@pytest.mark.parametrize(
    "other",
    [
        ("--protocol", "standard"),
        (*PAPER, "--loss", "MSE"),
        (*PAPER, "--eps", "1e-20"),
    ],
)
def test_what_is_trained_otherwise_has_none(other: tuple[str, ...]) -> None:
    assert values("cgcnn", "baseline", *PAPER) != {}
    assert values("cgcnn", "baseline", *other) == {}


def test_an_activation_elsewhere_or_another_start_has_none() -> None:
    assert values("cgcnn", "irelu", *PAPER, "--scope", "all") == {}
    assert values("cgcnn", "irelu+lsuv", *PAPER) == {}


def test_oxides_have_those_of_oc22() -> None:
    found = SUITE.published(specify("dimenet++", "irelu+rescale", *PAPER, problem="xtb-oxides"))
    assert [(f.metric, f.value, f.unit) for f in found] == [
        ("MAE_E", 0.576522, "eV"),
        ("MAE_F", 0.0107285, "eV/Å"),
    ]


def test_every_published_row_of_our_models_is_reached() -> None:
    text = files("suites.molecular.published").joinpath("md17.csv").read_text()
    rows = [r for r in csv.DictReader(text.splitlines()) if r["molecule"] == "ethanol"]
    wanted = {float(r["force_mae_kcal_mol_A"]) for r in rows if r["model"] != "gemnet-dt"}
    arms = [
        "+".join(parts) or "baseline"
        for activation in ([], ["irelu"])
        for normalization in ([], ["denorm"])
        for rescaling in ([], ["rescale"])
        if (parts := [*activation, *normalization, *rescaling]) is not None
    ]
    models = ("schnet", "cgcnn", "forcenet", "dimenet++")
    found = {values(model, arm).get("MAE_F") for model in models for arm in arms}
    assert wanted <= found


def test_the_loss_is_an_option_of_any_protocol() -> None:
    assert task("schnet:8x2", "baseline", *PAPER).loss.names == ("MAE_E_batch", "MAE_F_batch")
    squared = task("schnet:8x2", "baseline", *PAPER, "--loss", "MSE")
    assert squared.loss.names == ("MSE_E_batch", "MSE_F_batch")
    losses = squared.step()
    weighted = losses["MSE_E_batch"] + 30 * losses["MSE_F_batch"]
    assert float(losses["loss"]) == pytest.approx(float(weighted))


def test_the_protocols_own_loss_is_the_same_run() -> None:
    plain = specify("schnet:8x2", "baseline", *PAPER)
    assert specify("schnet:8x2", "baseline", *PAPER, "--loss", "MAE").hash == plain.hash
    assert specify("schnet:8x2", "baseline", *PAPER, "--loss", "MSE").hash != plain.hash


def test_an_unknown_loss_is_refused() -> None:
    with pytest.raises(BadInput, match=r"unknown --loss 'RMSE'.*MAE, MSE"):
        specify("schnet:8x2", "baseline", "--loss", "RMSE")
