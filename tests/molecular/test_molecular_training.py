"""Real trainings, small: what learns, what is repeated bitwise, what the record may rely on."""

from __future__ import annotations

import copy
import itertools
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from molecular_specs import CPU, run, specify, task
from schnetpack.task import ModelOutput
from torch import Tensor, nn

from bench.cli.show import describe
from bench.store.record import Record
from bench.store.store import Store
from bench.store.weights import load_weights
from bench.text.errors import BadInput
from bench.training import loop as trainer
from bench.training.parameters import FlatParameters
from bench.training.run import execute
from bench.training.signals import Interruption
from suites.molecular import scoring
from suites.molecular.averaging import Averaging
from suites.molecular.task import MolecularTask, build

#: Enough to learn something from 64 frames in seconds.
LEARNING = ("--steps", "300", "--lr", "1e-2", "--ema", "0.9", "--evaluations", "3")

PLAIN = {"MAE_E", "RMSE_E", "MAE_E_atom", "RMSE_E_atom", "MAE_F", "RMSE_F"}
METRICS = {*PLAIN, *(f"{name}_eV" for name in PLAIN), "EFwT", "cos_F"}


def copied(state: Any) -> Any:
    """A task's state as bytes and plain values, which compare bitwise."""
    if isinstance(state, Tensor):
        return (state.dtype, tuple(state.shape), state.detach().numpy().tobytes())
    if isinstance(state, Mapping):
        return {key: copied(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return [copied(value) for value in state]
    return copy.deepcopy(state)


def outcome(record: Record, folder: Path) -> dict[str, Any]:
    """Everything of a run that only its spec may decide."""
    weights = load_weights(Store(folder).weights(record.spec_hash))
    return {
        "status": record.status,
        "steps": record.steps_done,
        "metrics": record.metrics,
        "losses": record.losses,
        "history": {k: v for k, v in record.history.items() if k != "seconds"},
        "diagnostics": record.diagnostics,
        "task": record.task,
        "weights": copied(weights),
    }


# --- learning ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def learnt(folder: Path) -> Record:
    return run(folder, "schnet:32x2", "baseline", *LEARNING, dtype="float32")


def test_training_reduces_the_force_error_on_64_frames(learnt: Record) -> None:
    assert learnt.status == "done", learnt.reason
    assert learnt.task["split"]["n_train"] == 64
    for part in ("train_", "val_", ""):
        errors = learnt.history[f"{part}MAE_F"]
        assert errors[-1] < 0.5 * errors[0], part
        assert learnt.history[f"{part}cos_F"][-1] > 0.8
    trivial = learnt.task["trivial"]
    assert learnt.metrics["MAE_F"].final < 0.5 * trivial["MAE_F"]
    assert learnt.history["MAE_F"][0] == pytest.approx(trivial["MAE_F"], rel=0.01)
    assert learnt.diagnostics["collapsed"] is False
    assert not any("no better" in text for text in learnt.warnings)
    losses = learnt.losses["loss"]
    assert np.mean(losses[-20:]) < 0.4 * np.mean(losses[:20])


def test_the_best_state_is_chosen_on_the_validation_frames(learnt: Record) -> None:
    held_out = learnt.history["selection"]
    assert held_out == learnt.history["heldout_loss"]
    best = int(np.argmin(held_out))
    assert learnt.best_step == learnt.history["step"][best]
    assert learnt.metrics["MAE_F"].best == learnt.history["MAE_F"][best]


def test_the_saved_weights_are_those_that_were_scored(learnt: Record, folder: Path) -> None:
    built = build(learnt.spec, CPU)
    weights = load_weights(Store(folder).weights(learnt.spec_hash))
    built.averaging.scored.load_state_dict(weights)
    found = built.evaluate()
    metrics = {**found.metrics, "selection": found.selection}
    assert metrics == {name: metric.final for name, metric in learnt.metrics.items()}


def test_the_same_spec_gives_the_same_record(tmp_path: Path) -> None:
    records = []
    for place in ("a", "b"):
        torch.manual_seed(len(records))  # what was drawn before does not matter
        record = run(tmp_path / place, "cgcnn:8x1", "irelu", "--steps", "15", dtype="float32")
        records.append(outcome(record, tmp_path / place))
    assert records[0] == records[1]
    other = run(tmp_path / "c", "cgcnn:8x1", "irelu", "--steps", "15", dtype="float32", seed=1)
    assert other.metrics != records[0]["metrics"]


@pytest.mark.parametrize(
    ("model", "options"),
    [("cgcnn:8x1", ("--ema", "0.9")), ("schnet:8x1", ("--protocol", "paper", "--batch", "7"))],
)
def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(
    model: str, options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "BLOCK", 11)  # 64 frames: in the middle of an epoch
    spec = specify(model, "baseline", "--steps", "40", *options, dtype="float32")
    whole = execute(spec, Store(tmp_path / "whole"), CPU, 1, lambda *_: None, Interruption())

    store = Store(tmp_path / "parts")
    for end in (11, 33):
        flag = Interruption()

        def stop(done: int, *_: Any, flag: Interruption = flag, end: int = end) -> None:
            if done == end:
                flag.signal = signal.SIGINT

        part = execute(spec, store, CPU, 1, stop, flag)
        assert (part.status, part.steps_done) == ("interrupted", end)
        assert store.checkpoint(spec.hash).exists()
    last = execute(spec, store, CPU, 1, lambda *_: None, Interruption())
    assert last.resumed == 2
    assert outcome(last, store.root) == outcome(whole, tmp_path / "whole")
    assert not store.checkpoint(spec.hash).exists()


def test_a_diverged_run_is_a_result(tmp_path: Path) -> None:
    record = run(tmp_path, "schnet:8x1", "baseline", "--lr", "1e30", dtype="float32")
    assert record.status == "diverged"
    assert record.metrics["MAE_F"].final is None and record.metrics["MAE_E"].final is None
    assert record.history["MAE_F"][0] is not None


# --- what arms share --------------------------------------------------------------------------


def batches(built: MolecularTask, steps: int) -> list[list[int]]:
    """The training rows of the first steps."""
    seen: list[list[int]] = []
    gather = built.training.batch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            built.training, "batch", lambda rows: (seen.append(rows.tolist()), gather(rows))[1]
        )
        for _ in range(steps):
            built.step()
    return seen


@pytest.mark.parametrize("model", ["cgcnn:8x2", "schnet:8x2", "forcenet:8x2"])
def test_arms_share_frames_batches_and_initial_weights(model: str) -> None:
    arms = ["baseline", "irelu", "denorm", "rescale=10", "irelu+denorm+rescale"]
    first, *others = (task(model, arm, "--steps", "10") for arm in arms)
    weights = dict(first.net.named_parameters())
    rows = batches(first, 8)
    assert sorted(itertools.chain(*rows[:6])) == sorted(set(itertools.chain(*rows[:6])))
    assert len(set(map(tuple, rows))) == 8
    start = {name: value.detach().clone() for name, value in task(model).net.named_parameters()}
    assert any(not torch.equal(start[name], weights[name]) for name in start)  # it has trained
    for arm, other in zip(arms[1:], others, strict=True):
        assert other.split.summary() == first.split.summary()
        linear = [n for n, module in other.net.named_modules() if isinstance(module, nn.Linear)]
        assert linear
        for name, value in other.net.named_parameters():
            assert torch.equal(value, start[name]), (arm, name)
        assert batches(other, 8) == rows, arm
    another = task(model, seed=1)
    assert another.split.summary()["digest"] != first.split.summary()["digest"]
    assert batches(another, 8) != rows


def test_no_frame_is_in_two_parts_and_blocks_are_kept_apart() -> None:
    split = task().split
    assert split.kind == "blocks" and split.gap == 4
    parts = [split.train, split.val, split.test]
    for one, other in itertools.combinations(parts, 2):
        assert np.abs(one[:, None] - other[None]).min() > split.gap
    drawn = task("schnet:8x2", "baseline", "--split", "random").split
    assert drawn.kind == "random" and drawn.gap == 0 and drawn.dropped == 0


# --- the average ------------------------------------------------------------------------------


def test_the_average_covers_the_statistics_of_batch_norm() -> None:
    # Reached by the warm-up after 8 steps.
    decay, steps = 0.5, 12
    built = task("cgcnn:8x1", "baseline", "--ema", str(decay), "--steps", str(steps))
    average: dict[str, Tensor] = {}
    for step in range(steps):
        built.step()
        now = min(decay, (1 + step) / (10 + step))
        for name, value in built.net.state_dict().items():
            before = average.get(name, value)
            average[name] = (now * before + (1 - now) * value).to(value.dtype)
    scored, trained = built.averaging.scored.state_dict(), built.net.state_dict()
    assert any(name.endswith("running_var") for name in scored)
    for name, value in scored.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, average[name], rtol=1e-12, atol=1e-14)
            assert "running" not in name or not torch.equal(value, trained[name]), name
        else:
            assert name.endswith("num_batches_tracked") and value.dtype == torch.int64
            assert 1 <= int(value) <= steps
    assert copied(built.weights()) == copied(scored)


def test_the_average_of_a_straight_line_keeps_up() -> None:
    """Weights w_k = k: the average is near the last steps, and forgets the first."""
    decay = 0.98  # reached after 440 steps
    line = nn.Linear(1, 1, bias=False).double()
    averaging = Averaging(line, FlatParameters(line), decay)
    found = []
    for step in range(2000):
        nn.init.constant_(line.weight, step)
        averaging.update()
        found.append(averaging.scored.state_dict()["weight"].item())
    # A tenth of the steps during the warm-up; then d / (1 - d) steps, as that of any average.
    assert 85 < found[99] < 99
    assert found[1999] == pytest.approx(1999 - decay / (1 - decay), abs=1e-6)


def test_an_average_resumes_its_warm_up() -> None:
    whole, first = (task("schnet:8x1", "baseline", "--ema", "0.9") for _ in range(2))
    for _ in range(8):
        whole.step()
    for _ in range(3):
        first.step()
    resumed = task("schnet:8x1", "baseline", "--ema", "0.9")
    resumed.load_state_dict(first.state_dict())
    for _ in range(5):
        resumed.step()
    assert copied(resumed.weights()) == copied(whole.weights())


def test_runs_of_an_average_without_a_warm_up_are_others() -> None:
    assert specify().versions["protocol"] == 3
    paper = specify("schnet:8x2", "baseline", "--protocol", "paper")
    averaged = specify("schnet:8x2", "baseline", "--protocol", "paper", "--ema", "0.9")
    assert "protocol" not in paper.versions and "ema_warm_up" not in paper.settings
    assert averaged.settings["ema_warm_up"]


def test_without_an_average_the_weights_themselves_are_scored() -> None:
    built = task("cgcnn:8x1", "baseline", "--ema", "0")
    built.step()
    assert built.averaging.scored is built.net
    assert copied(built.weights()) == copied(built.net.state_dict())
    assert built.averaging.state_dict() == {}


def test_the_average_is_what_is_scored() -> None:
    found = {}
    for decay in ("0", "0.99"):
        built = task("schnet:8x1", "baseline", "--ema", decay, "--lr", "1e-2")
        for _ in range(10):
            built.step()
        found[decay] = (copied(built.net.state_dict()), built.evaluate().metrics["MAE_F"])
    assert found["0"][0] == found["0.99"][0]  # the average changes nothing of the training
    assert found["0"][1] != found["0.99"][1]


# --- the optimiser ----------------------------------------------------------------------------


def test_weight_decay_is_decoupled() -> None:
    lr, decay = 1e-2, 0.3
    after = {}
    for given in (0.0, decay):
        built = task("schnet:8x1", "baseline", "--lr", str(lr), "--weight-decay", str(given))
        start = {name: p.detach().clone() for name, p in built.net.named_parameters()}
        built.step()
        after[given] = {name: p.detach() for name, p in built.net.named_parameters()}
    for name, value in start.items():
        # Adam's own step does not see the decay, and the decay is not scaled by the gradient.
        expected = after[0.0][name] - lr * decay * value
        torch.testing.assert_close(after[decay][name], expected, rtol=1e-10, atol=1e-14)
    assert any(not torch.equal(after[0.0][name], after[decay][name]) for name in start)


@pytest.mark.parametrize(
    ("protocol", "decay", "schedule", "lr"),
    [("standard", 0.01, "cosine", 5e-4), ("paper", 0.0, "constant", 1e-4)],
)
def test_the_optimiser_s_settings_are_the_protocol_s(
    protocol: str, decay: float, schedule: str, lr: float
) -> None:
    training = specify("schnet:8x1", "baseline", "--protocol", protocol).training
    assert (training.weight_decay, training.schedule, training.lr) == (decay, schedule, lr)


# --- the losses -------------------------------------------------------------------------------


def first_batch(built: MolecularTask) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Labels and predictions, in the network's unit, of a batch in training mode."""
    rows = np.arange(0, 40, 2)
    labels = {key: built.training.batch(rows)[key] for key in ("energy", "forces")}
    found = built.net.train()(built.training.batch(rows))
    return labels, {key: found[key].detach() for key in ("energy", "forces")}


def test_the_loss_of_the_paper() -> None:
    built = task("schnet:8x2", "rescale=10", "--protocol", "paper")
    labels, found = first_batch(built)
    mae = {key: np.abs((found[key] - labels[key]).numpy()).mean() for key in labels}
    terms = built.losses(built.training.batch(np.arange(0, 40, 2)))
    expected = mae["energy"] + 30 * mae["forces"]
    assert float(terms["loss"].detach()) == pytest.approx(expected, rel=1e-12)
    assert float(terms["MAE_E_batch"]) == pytest.approx(10 * mae["energy"], rel=1e-12)
    assert float(terms["MAE_F_batch"]) == pytest.approx(10 * mae["forces"], rel=1e-12)
    assert terms.keys() == {"loss", "MAE_E_batch", "MAE_F_batch"}
    assert built.unit("MAE_F_batch") == "kcal/mol/Å"


def test_the_standard_loss_is_schnetpack_s() -> None:
    built = task("schnet:8x2", "rescale=10")
    labels, found = first_batch(built)
    outputs = [
        ModelOutput("energy", loss_fn=nn.MSELoss(), loss_weight=0.01, metrics={}),
        ModelOutput("forces", loss_fn=nn.MSELoss(), loss_weight=0.99, metrics={}),
    ]
    expected = sum(float(output.calculate_loss(found, labels)) for output in outputs)
    terms = built.losses(built.training.batch(np.arange(0, 40, 2)))
    assert float(terms["loss"].detach()) == pytest.approx(expected, rel=1e-12)
    mse = float((found["forces"] - labels["forces"]).square().mean())
    assert float(terms["MSE_F_batch"]) == pytest.approx(100 * mse, rel=1e-12)
    assert built.unit("MSE_E_batch") == "(kcal/mol)²"
    assert built.unit("MSE_F_batch") == "(kcal/mol/Å)²"


@pytest.mark.parametrize(
    ("protocol", "weights", "power"), [("standard", (0.01, 0.99), 2), ("paper", (1, 30), 1)]
)
def test_the_reported_losses_are_of_the_whole_parts(
    protocol: str, weights: tuple[float, float], power: int
) -> None:
    built = task("schnet:8x2", "rescale=10", "--protocol", protocol)
    metrics = built.evaluate().metrics
    kind = {1: "MAE", 2: "RMSE"}[power]
    for loss, part in (("loss", "train"), ("heldout_loss", "val")):
        energy, forces = (metrics[f"{part}_{kind}_{label}"] ** power for label in "EF")
        assert metrics[loss] == pytest.approx(weights[0] * energy + weights[1] * forces, rel=1e-9)
    assert built.evaluate().selection == metrics["heldout_loss"]


# --- evaluation -------------------------------------------------------------------------------


def test_every_metric_is_reported_on_every_part() -> None:
    built = task("schnet:8x1")
    metrics = built.evaluate().metrics
    assert metrics.keys() == {
        *(f"{part}{name}" for part in ("", "train_", "val_") for name in METRICS),
        "loss",
        "heldout_loss",
        "test_loss",
    }
    assert all(np.isfinite(value) for value in metrics.values())
    units = {name: built.unit(name) for name in metrics}
    assert units["train_MAE_F"] == "kcal/mol/Å" and units["MAE_E_atom_eV"] == "eV/atom"
    assert units["val_EFwT"] == "1" and units["loss"] == "weighted"


def test_metrics_are_those_of_the_predictions() -> None:
    built = task("painn:8x1")
    metrics = built.evaluate().metrics
    for part, prefix in (("train", "train_"), ("val", "val_"), ("test", "")):
        energy, forces = built.predict(part)
        frames = built.parts[part]
        assert energy.shape == frames.energies.shape and forces.shape == frames.forces.shape
        wrong = forces - frames.forces
        mean = np.abs(energy - frames.energies).mean()
        assert metrics[f"{prefix}MAE_E"] == pytest.approx(mean, rel=1e-9)
        assert metrics[f"{prefix}RMSE_F"] == pytest.approx(np.sqrt((wrong**2).mean()), rel=1e-9)


def test_with_batch_norm_the_scores_under_batch_statistics_stand_beside(tmp_path: Path) -> None:
    asked = ("--batch", "10", "--n-test", "20", "--ema", "0")
    built = task("cgcnn:8x1", "baseline", *asked)
    for _ in range(3):
        built.step()
    state = copied(built.state_dict())
    metrics = built.evaluate().metrics
    assert copied(built.state_dict()) == state  # the running statistics above all
    names = [name for name in metrics if name.endswith("_batch_statistics")]
    assert {"MAE_E_batch_statistics", "MAE_F_batch_statistics"} <= set(names)
    assert all(metrics[n] != metrics[n.removesuffix("_batch_statistics")] for n in names)
    assert [built.unit(n) for n in names] == [
        built.unit(n.removesuffix("_batch_statistics")) for n in names
    ]
    # One batch of all test frames, by hand: as in training.
    whole = task("cgcnn:8x1", "baseline", "--batch", "20", "--n-test", "20", "--ema", "0")
    whole.net.load_state_dict(built.net.state_dict())
    found = whole.evaluate().metrics["MAE_F_batch_statistics"]
    whole.net.train()
    test = whole.parts["test"]
    forces = (
        whole.net(whole.scoring.tensors["test"].batch(np.arange(20)))["forces"].detach().numpy()
    )
    wanted = np.abs(forces * whole.scale.factor - test.forces).mean()
    assert found == pytest.approx(wanted, rel=1e-9)


def test_only_batch_norm_has_scores_under_batch_statistics() -> None:
    for arm in ("denorm", "frozenbn"):
        built = task("cgcnn:8x1", arm)
        assert not any("statistics" in name for name in built.evaluate().metrics)
        assert "notes" not in built.description


def test_show_prints_them_and_says_of_how_many_frames(tmp_path: Path) -> None:
    record = run(tmp_path, "cgcnn:8x1", "baseline", "--batch", "8", "--steps", "2")
    lines = describe(record)
    assert any(line.startswith("MAE_F_batch_statistics") for line in lines)
    (note,) = [line for line in lines if line.startswith("note ")]
    assert "each batch of 8 test frames" in note


def test_pointwise_batch_norm_is_refused_where_training_is_in_batches() -> None:
    with pytest.raises(BadInput, match=r"trains on batches \(allowed: denorm, batchnorm") as caught:
        specify("cgcnn:8x1", "pointwise-batchnorm")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("asked", "scored"), [("300", 200), ("50", 50)])
def test_training_errors_are_of_at_most_200_frames(asked: str, scored: int) -> None:
    built = task("schnet:8x1", "baseline", "--n-train", asked)
    assert built.description["scored"] == {"train": scored, "val": 16, "test": 16}
    assert built.description["split"]["n_train"] == len(built.training) == int(asked)
    known = {frame.tobytes() for frame in built.training_frames.positions.reshape(-1, 9, 3)}
    shown = [frame.tobytes() for frame in built.parts["train"].positions.reshape(-1, 9, 3)]
    assert len(set(shown)) == scored and known.issuperset(shown)


@pytest.mark.parametrize("model", ["cgcnn:8x1", "schnet:8x1"])
def test_the_batches_of_an_evaluation_do_not_matter(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = task(model)
    for _ in range(3):
        built.step()
    whole = built.evaluate()
    for rows in (1, 7, 1000):
        monkeypatch.setitem(scoring._ROWS, "cpu", rows)
        again = built.evaluate()
        assert again.metrics == pytest.approx(dict(whole.metrics), rel=1e-9, abs=1e-12)
        assert again.selection == pytest.approx(whole.selection, rel=1e-9)


def test_an_untrained_network_is_no_better_than_zero_forces(learnt: Record) -> None:
    built = task("schnet:8x2")
    (text,) = [text for text in built.diagnose().warnings if "no better than zero" in text]
    assert f"{built.trivial()['MAE_F']:.3g} kcal/mol/Å" in text
    assert any("no better than zero" in text for text in learnt.diagnostics["start"]["warnings"])


def test_what_ran_before_in_the_process_does_not_matter(tmp_path: Path) -> None:
    plain = run(tmp_path / "plain", "field-schnet:8x1", dtype="float32")
    # What a PINN in float64 leaves behind.
    torch.set_default_dtype(torch.float64)
    after = run(tmp_path / "after", "field-schnet:8x1", dtype="float32")
    assert after.status == "done", after.reason
    assert after.metrics == plain.metrics
