"""What a problem says of itself: names, units, points."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from suites.pinn.problems.problem import TOTALS, Term
from suites.pinn.testing.subjects import Subject, draw, error_of, inside


class DeclarationContract:
    """It has as many names as losses, and points in its domain that the seed decides on."""

    def test_names_are_as_many_as_losses(self, subject: Subject) -> None:
        problem, data = subject.problem, subject.data
        equations = len(subject.residuals(subject.waves(), np.asarray(data.train_x, dtype=float)))
        conditions = len(data.bcs)
        for kind, terms, count in (
            ("equations", subject.equations, equations),
            ("conditions", subject.conditions, conditions),
        ):
            names = ", ".join(term.name for term in terms)
            assert len(terms) == count, (
                f"{subject} names {len(terms)} {kind} ({names}) but has {count}"
            )
        kinds = ["equation" if term.kind == "residual" else "condition" for term in problem.terms]
        assert kinds == sorted(kinds, reverse=True), (
            f"{subject} names a condition before an equation; DeepXDE's losses begin with equations"
        )
        twice = [name for name, n in Counter(t.name for t in problem.terms).items() if n > 1]
        assert not twice, f"{subject} has two terms called {twice[0]!r}"

    def test_names_are_of_their_kind_and_output(self, subject: Subject) -> None:
        outputs = subject.problem.outputs
        for term in subject.problem.terms:
            for kind, total in TOTALS.items():
                assert kind == term.kind or not term.name.startswith(total), (
                    f"{subject}: {term.name!r} is a loss of the kind {term.kind!r}, and called as"
                    f" one of the kind {kind!r}"
                )
            assert term.output is None or 0 <= term.output < len(outputs), (
                f"{subject}: {term.name!r} is of output {term.output}, and there are {len(outputs)}"
            )
            named = named_output(term, outputs)
            assert named is None or term.output in (None, named), (
                f"{subject}: {term.name!r} is declared for the output {outputs[term.output or 0]!r}"
            )

    def test_transforms_keep_rows_and_outputs(self, subject: Subject) -> None:
        problem = subject.problem
        x = torch.as_tensor(np.asarray(subject.data.train_x))
        features = problem.input_transform(x)
        assert features.ndim == 2 and len(features) == len(x), (
            f"{subject}: its input transform makes {tuple(features.shape)} of {tuple(x.shape)}"
        )
        y = subject.waves()(x)
        found = problem.output_transform(x, y)
        assert found.shape == y.shape, (
            f"{subject}: its output transform makes {tuple(found.shape)} of {tuple(y.shape)}"
        )

    def test_residuals_have_a_unit_each(self, subject: Subject) -> None:
        """Or none is declared, and its labels cannot be rescaled."""
        problem = subject.problem
        scales = problem.residual_scales([2.0] * len(problem.outputs))
        if scales is None:
            return
        usable = all(np.isfinite(scale) and scale > 0 for scale in scales)
        assert usable and len(scales) == problem.n_equations, (
            f"{subject} declares the units {list(scales)} for its {problem.n_equations} equations"
        )

    def test_points_lie_in_the_domain(self, subject: Subject) -> None:
        points = np.asarray(subject.data.train_x)
        assert np.isfinite(points).all(), f"{subject} draws points that are not finite"
        outside = points[~inside(subject.data.geom, points)]
        assert not len(outside), (
            f"{subject} draws points outside its domain, for instance {outside[0].tolist()}"
        )

    def test_points_depend_on_the_seed_alone(self, subject: Subject) -> None:
        """Held-out points are those of another seed."""
        first, again, other = (
            np.asarray(draw(subject.problem, subject.truth, seed).train_x_all) for seed in (0, 0, 1)
        )
        assert np.array_equal(first, again), (
            f"{subject} draws other points for the same seed: only NumPy's global generator is"
            " seeded when it draws"
        )
        assert not np.array_equal(np.unique(first, axis=0), np.unique(other, axis=0)), (
            f"{subject} draws the same points for every seed, held-out ones included: use"
            " train_distribution='pseudo'"
        )

    def test_labels_are_taken(self, subject: Subject) -> None:
        problem, truth = subject.problem, subject.truth
        if truth is None or not problem.takes_labels:
            pytest.skip(f"{subject} takes no labels")
        data = draw(problem, truth, 0, labels=True)
        terms = problem.data_terms(truth.outputs)
        added = data.bcs[len(subject.data.bcs) :]
        assert len(added) == len(terms), (
            f"{subject} is given labels of {len(terms)} outputs, and makes {len(added)} conditions"
            " of them"
        )
        state, labels = subject.waves(), truth.reference.targets()
        for condition, term, values in zip(added, terms, labels.T, strict=True):
            points = truth.reference.points()[: len(condition.points)]
            with torch.no_grad():
                wanted = state(torch.tensor(points))[:, [term.output or 0]].numpy()
            wanted -= values[: len(points), None]
            found = error_of(condition, state, np.asarray(condition.points)).numpy()
            assert found.shape == wanted.shape and np.allclose(found, wanted), (
                f"{subject}: the labels of {term.name!r} are not those of its output at their"
                " points"
            )


def named_output(term: Term, outputs: tuple[str, ...]) -> int | None:
    """The output that a term's name ends with, after the total of its kind: ``LICp``."""
    rest = term.name.removeprefix(TOTALS[term.kind]).lstrip("_")
    return outputs.index(rest) if rest in outputs and term.kind != "residual" else None
