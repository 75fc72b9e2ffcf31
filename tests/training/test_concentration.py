"""The share of the signal in few rows, the output's size over rows, and what is said of them."""

from __future__ import annotations

import pytest
import torch

from bench.training.concentration import concentration_warning, signal_over_rows


def test_an_even_signal_has_one_percent_of_its_energy_in_one_percent_of_the_rows() -> None:
    found = signal_over_rows({"hidden layer 1": torch.ones(400, 7)}, torch.full((400, 1), -2.0))
    assert found["energy_in_1_percent"] == pytest.approx(0.01)
    assert (found["output_median"], found["output_largest"], found["rows"]) == (2.0, 2.0, 400)
    assert concentration_warning({"concentration": found}) == []


def test_the_worst_layer_is_named_and_said() -> None:
    hidden = {f"hidden layer {k}": torch.ones(300, 4) for k in (1, 2)}
    hidden["hidden layer 2"] = torch.zeros(300, 4)
    hidden["hidden layer 2"][:3] = 5.0  # 1 % of the rows
    found = signal_over_rows(hidden, torch.linspace(0, 1, 300)[:, None])
    assert found["layer"] == "hidden layer 2"
    assert found["energy_in_1_percent"] == 1.0
    (text,) = concentration_warning({"concentration": found})
    assert text.startswith("concentrated: at the start 1 % of the rows hold 100% of the energy of")
    assert "hidden layer 2" in text and "featurewise" in text


def test_the_norm_of_several_outputs_is_measured() -> None:
    output = torch.tensor([[3.0, 4.0]]).repeat(101, 1)
    output[0] *= 10
    found = signal_over_rows({}, output)
    assert (found["output_median"], found["output_largest"]) == (5.0, 50.0)
    assert found["layer"] == "output"
    assert found["energy_in_1_percent"] == pytest.approx(2500 / (2500 + 100 * 25))


def test_what_overflows_is_unknown_and_no_signal_is_not_concentrated() -> None:
    found = signal_over_rows({"hidden layer 1": torch.full((50, 2), torch.inf)}, torch.zeros(50, 1))
    assert (found["energy_in_1_percent"], found["layer"]) == (None, "hidden layer 1")
    assert concentration_warning({"concentration": found}) == []
    silent = signal_over_rows({}, torch.zeros(50, 1))
    assert silent["energy_in_1_percent"] == 0


def test_a_handful_of_rows_is_not_judged() -> None:
    found = signal_over_rows({}, torch.tensor([[1.0], [0.0]]))
    assert found["energy_in_1_percent"] == 1
    assert concentration_warning({"concentration": found}) == []


def test_a_record_without_it_says_nothing() -> None:
    assert concentration_warning({}) == []
