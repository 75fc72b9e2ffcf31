"""What a problem is built of, as digests by name."""

from __future__ import annotations

import functools
import hashlib
import inspect
import types
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch

from suites.pinn.backend import dde
from suites.pinn.inspection.callers import is_users_code
from suites.pinn.problems.dde_data import keep_for
from suites.pinn.problems.problem import Problem
from suites.pinn.problems.truth import Truth

#: Objects that are looked at, and how deep they may lie.
_MOST, _DEEPEST = 50_000, 30
#: Of the largest value: what another machine or version may compute otherwise. No decimal number
#: lies in the middle between two multiples of it.
_ROUNDED = 1.1e-5

_VALUES = "values of the truth"
_Scalar = str | bytes | bool | int | float | complex | None
_CODE = (types.FunctionType, types.MethodType, functools.partial)
_GENERATORS = (np.random.Generator, np.random.RandomState, np.random.BitGenerator, torch.Generator)


def built(problem: Problem, truth: Truth | None, data: Any) -> dict[str, str]:
    """Digests of what a build has made: truth, conditions, anchors, exclusions.

    Collocation points, which a seed draws, are not in it. What a function computes is rounded, so
    that another processor does not make other data of it.

    Args:
        problem: The problem.
        truth: Its ground truth.
        data: Its data.
    """
    found: dict[str, str] = {}
    if truth is not None:
        reference = truth.reference
        computed = truth.exact is not None
        found["points of the truth"] = array_digest(reference.points())
        values = reference.targets()
        found[_VALUES] = array_digest(_rounded(values) if computed else values)
    for name in ("anchors", "exclusions"):
        if (array := getattr(data, name, None)) is not None:
            found[name] = array_digest(np.asarray(array))
    names = [term.name for term in problem.terms if term.kind != "residual"]
    start = 0
    for k, condition in enumerate(getattr(data, "bcs", ())):
        name = names[k] if k < len(names) else str(k)
        count = data.num_bcs[k]
        if isinstance(condition, dde.icbc.PointSetBC | dde.icbc.PointSetOperatorBC):
            found[f"points of {name}"] = array_digest(condition.points)
            found[f"labels of {name}"] = array_digest(_numpy(condition.values))
        elif isinstance(condition, dde.icbc.IC | dde.icbc.DirichletBC | dde.icbc.NeumannBC):
            points = np.asarray(data.train_x)[start : start + count]
            keep_for(condition, points)
            values = _numpy(condition.func(points, 0, len(points), None))
            found[f"values of {name}"] = array_digest(_rounded(values))
        start += count
    return found


def is_steady(name: str) -> bool:
    """Whether a digest of `built` can be the same with every seed: not that of values at drawn
    points."""
    return not name.startswith("values of ") or name == _VALUES


def held(problem: Problem, data: Any) -> dict[str, str]:
    """Digests of the arrays, numbers and texts that the problem's functions hold.

    Functions are followed through their closures, their defaults and the globals that they name, as
    long as they stand in a user's own file; objects through their attributes.

    Args:
        problem: The problem.
        data: Its data.
    """
    walk = _Walk()
    walk.follow("problem", problem)
    walk.follow("equations", getattr(data, "pde", None))
    walk.follow("geometry", getattr(data, "geom", None))
    walk.follow("auxiliary", getattr(data, "auxiliary_var_fn", None))
    for k, condition in enumerate(getattr(data, "bcs", ())):
        for name in ("func", "on_boundary"):
            walk.follow(f"condition {k} {name}", getattr(condition, name, None))
    return walk.found


def array_digest(array: np.ndarray) -> str:
    """Digest of shape, type and values."""
    array = np.ascontiguousarray(array)
    content = repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes()
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode())
    digest.update(content)
    return digest.hexdigest()[:16]


def _numpy(values: Any) -> np.ndarray:
    return torch.as_tensor(values).detach().cpu().resolve_conj().resolve_neg().numpy()


def _rounded(values: np.ndarray) -> np.ndarray:
    """In units of a small part of the largest value, as whole numbers, with that value's size."""
    values = np.asarray(values, dtype=np.float64)
    largest = float(np.abs(values).max(initial=0.0, where=np.isfinite(values)))
    if not largest:
        return values
    # Largest values of about 1, or another power of 2, have one unit.
    unit = _ROUNDED * 2.0 ** np.ceil(np.log2(largest) - 1e-3)
    return np.append(np.round(values / unit).ravel() + 0.0, unit)


class _Walk:
    """Follows functions and objects, each once."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self._seen: dict[int, Any] = {}

    def follow(self, name: str, value: Any, depth: int = 0) -> None:
        """Take what a value holds into `found`.

        Args:
            name: For it.
            value: Anything.
            depth: How many others it was found through.
        """
        if isinstance(value, _Scalar):
            self.found[name] = hashlib.sha256(repr(value).encode()).hexdigest()[:16]
            return
        if depth > _DEEPEST or len(self._seen) > _MOST or id(value) in self._seen:
            return
        self._seen[id(value)] = value
        array = _as_array(value)
        if array is not None:
            self.found[name] = array_digest(array)
            return
        for key, part in _parts(value):
            self.follow(f"{name}.{key}", part, depth + 1)


def _as_array(value: Any) -> np.ndarray | None:
    if isinstance(value, torch.Tensor):
        return _numpy(value) if value.layout == torch.strided and not value.is_quantized else None
    if isinstance(value, type):
        return None
    if isinstance(value, np.ndarray | np.generic) or hasattr(value, "__array__"):
        try:
            return np.asarray(value)
        except Exception:  # whatever an object's own method raises
            return None
    if isinstance(value, list | tuple) and len(value) > 100:
        try:
            array = np.asarray(value)
        except ValueError:  # its parts have different shapes
            return None
        return None if array.dtype.hasobject else array
    return None


def _parts(value: Any) -> Iterable[tuple[str, Any]]:
    """What a value is made of, by name, in an order that does not depend on where it lies."""
    if isinstance(value, types.FunctionType):
        return _of_function(value)
    if isinstance(value, types.MethodType):
        return [("self", value.__self__), ("function", value.__func__)]
    if isinstance(value, functools.partial):
        return [("function", value.func), ("args", value.args), ("keywords", value.keywords)]
    if isinstance(value, Mapping):
        return [(_key(key, k), part) for k, (key, part) in enumerate(list(value.items()))]
    if isinstance(value, list | tuple):
        return [(str(k), part) for k, part in enumerate(value)]
    if isinstance(value, set | frozenset):
        return [("all", sorted(map(repr, value)))] if all(map(_is_scalar, value)) else []
    if isinstance(value, type):
        return _of_class(value) if _is_users_class(value) else []
    if isinstance(value, (types.ModuleType, *_GENERATORS)):
        return []
    return _of_object(value)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, _Scalar)


def _key(key: Any, position: int) -> str:
    return repr(key) if isinstance(key, str | int | float | bool) else f"#{position}"


def _of_object(value: Any) -> list[tuple[str, Any]]:
    """Attributes; of an object of a user's own class also those of the class."""
    if isinstance(value, dde.data.Data):
        return []
    found = dict(getattr(value, "__dict__", None) or {})
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if not name.startswith("__") and hasattr(value, name):
                found[name] = getattr(value, name)
    parts = sorted((str(name), part) for name, part in found.items())
    kinds = [kind for kind in type(value).__mro__ if _is_users_class(kind)]
    return parts + [(kind.__qualname__, kind) for kind in kinds]


def _of_class(kind: type) -> list[tuple[str, Any]]:
    """Methods and attributes, but not its name and its documentation."""
    return sorted(
        (name, part)
        for name, part in vars(kind).items()
        if not name.startswith("__") or isinstance(part, types.FunctionType)
    )


def _is_users_class(kind: type) -> bool:
    try:
        return is_users_code(inspect.getfile(kind))
    except (TypeError, OSError):  # built in, or made by hand
        return False


def _of_function(function: types.FunctionType) -> list[tuple[str, Any]]:
    """Closure, defaults and the globals that a user's function names.

    Of a function that is not a user's only other functions are of interest: DeepXDE and
    `functools.wraps` put a user's own into theirs.
    """
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    inside = {name: cell.cell_contents for name, cell in cells.items() if _is_filled(cell)}
    wrapped = getattr(function, "__wrapped__", None)
    parts = [("wrapped", wrapped)] if wrapped is not None else []
    if not is_users_code(function.__code__.co_filename):
        return parts + [(name, part) for name, part in inside.items() if isinstance(part, _CODE)]
    parts += sorted(inside.items())
    parts += [("defaults", function.__defaults__), ("keywords", function.__kwdefaults__)]
    return parts + _named_globals(function)


def _named_globals(function: types.FunctionType) -> list[tuple[str, Any]]:
    """The globals that a function's code names, and of a user's modules what it names of them."""
    named = sorted(_names(function.__code__))
    found = []
    for name in named:
        value = function.__globals__.get(name)
        if isinstance(value, types.ModuleType):
            if is_users_code(getattr(value, "__file__", None) or "<frozen>"):
                inside = vars(value)
                found += [(f"{name}.{n}", inside[n]) for n in named if n in inside]
        elif name in function.__globals__:
            found.append((name, value))
    return found


def _names(code: types.CodeType) -> set[str]:
    """Names of globals and attributes in a function and in those inside of it."""
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*map(_names, inner))


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
