"""The studies of the suite, and one's own as TOML files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import msgspec

from bench.arm import BASELINE
from bench.studies.definition import Part, Study
from bench.text.errors import BadInput, unknown

#: What a report on all runs of a store is called.
EVERYTHING = "all"

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
#: Bytes of a study's file.
_LARGEST = 1_000_000


def get_study(name: str) -> Study:
    """The study of that name, or of a TOML file.

    Raises:
        BadInput: There is none, or the file is no study.
    """
    if name in STUDIES:
        return STUDIES[name]
    if not name.endswith(".toml"):
        raise unknown("study", name, [*STUDIES, "FILE.toml"])
    path = Path(name)
    if not _NAME.fullmatch(path.stem):
        raise BadInput(f"study {name!r}: a name is small letters, digits, '-' and '_'")
    if path.stem in (*STUDIES, EVERYTHING):
        raise BadInput(f"study {name!r}: {path.stem!r} already means something; rename the file")
    try:
        study = _decode(_content(path), name)
    except OSError as error:
        raise BadInput(f"cannot read study {name!r}: {error.strerror}") from error
    except BadInput:
        raise
    except RecursionError as error:
        raise BadInput(f"study {name!r} is nested too deeply") from error
    except ValueError as error:  # of TOML, of UTF-8 and of msgspec
        raise BadInput(f"study {name!r}: {error}") from error
    if study.name:
        raise BadInput(f"study {name!r}: its name is that of the file")
    # It is the title of the report.
    if not study.question.strip() or not study.question.isprintable():
        raise BadInput(f"study {name!r}: the question {study.question!r} is not one line of text")
    suites = [part.suite for part in study.part]
    if not suites or len(suites) > len(set(suites)):
        raise BadInput(f"study {name!r}: it needs one [[part]] for each suite, has {suites}")
    for part in study.part:
        part.check()
    return msgspec.structs.replace(study, name=path.stem)


def _content(path: Path) -> bytes:
    """All of a file, unless it is too large or none: a pipe would never end."""
    if path.exists() and not path.is_file():
        raise ValueError("this is not a file")
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ValueError(f"it has more than {_LARGEST} bytes")
    return content


def _decode(content: bytes, name: str) -> Study:
    """The study in TOML `content`, with the nearest match of an unknown key."""
    found = msgspec.toml.decode(content)
    parts = found.get("part")
    tables = [
        (found, Study),
        *((part, Part) for part in (parts if isinstance(parts, list) else ())),
    ]
    for table, kind in tables:
        for key in table if isinstance(table, dict) else ():
            if key not in kind.__struct_fields__:
                raise unknown(f"key in study {name!r}:", key, kind.__struct_fields__)
    return msgspec.convert(found, Study)


#: What the paper published on potentials, and on networks that carry batch norm.
_PAPER = "--protocol paper"
_NORMALIZED = ["cgcnn", "forcenet"]
_MOLECULES = [
    "xtb-aspirin",
    "xtb-benzene",
    "xtb-ethanol",
    "xtb-malonaldehyde",
    "xtb-naphthalene",
    "xtb-salicylic-acid",
    "xtb-toluene",
    "xtb-uracil",
]
_TWO_MOLECULES = ["xtb-ethanol", "xtb-benzene"]
_SEPARATE = [BASELINE, "denorm", "rescale", "denorm+rescale"]
_INTEGRATED = {"irelu": "relu", "ielu": "elu", "igelu": "gelu", "isilu": "silu"}
_EIGHT = ["irelu", "denorm", "rescale"]


def _combinations(tokens: Sequence[str]) -> list[str]:
    """All sums of some of the tokens, the empty one as the baseline."""
    chosen = product((False, True), repeat=len(tokens))
    sums = ["+".join(t for t, on in zip(tokens, row, strict=True) if on) for row in chosen]
    return [text or BASELINE for text in sums]


def _with(activation: str, *tokens: str) -> str:
    return "+".join(token for token in (activation, *tokens) if token) or BASELINE


def _integrated(*common: tuple[str, ...]) -> tuple[list[str], list[tuple[str, str]]]:
    """Integrated activations and their originals, each with the same other techniques."""
    arms: list[str] = []
    pairs: list[tuple[str, str]] = []
    for tokens in common:
        arms.append(_with("", *tokens))
        for integrated, original in _INTEGRATED.items():
            arms += [_with(integrated, *tokens), _with(original, *tokens)]
            pairs += [
                (_with(integrated, *tokens), _with(other, *tokens)) for other in ("", original)
            ]
        pairs += [
            (_with("irelu", *tokens), _with(other, *tokens)) for other in ("ielu", "igelu", "isilu")
        ]
    return arms, pairs


def _initialization(
    suite: str, models: list[str], problems: list[str], activations: Sequence[str]
) -> Part:
    """Activations under the published initialisation and under LSUV, compared under equal ones."""
    arms = ["", *activations]
    pairs = [(a, BASELINE) for a in activations]
    pairs += [(_with(a, "lsuv"), "lsuv") for a in activations]
    pairs += [(_with(a, "lsuv"), _with(a)) for a in arms]
    every = [_with(a) for a in arms] + [_with(a, "lsuv") for a in arms]
    return Part(suite, every, models, problems, compare=pairs, factors=["irelu", "lsuv"])


def _units(
    scales: Sequence[str], options: Sequence[str]
) -> tuple[list[str], list[tuple[str, str]]]:
    """Scales under every combination of options: each with the baseline of the same options, and
    with itself without one of them."""
    arms, pairs = [], []
    for row in product((False, True), repeat=len(options)):
        given = [option for option, on in zip(options, row, strict=True) if on]
        arms += [" ".join([arm, *given]) for arm in (BASELINE, *scales)]
        pairs += [(" ".join([arm, *given]), " ".join([BASELINE, *given])) for arm in scales]
        for option in given:
            rest = [other for other in given if other != option]
            pairs += [
                (" ".join([arm, *given]), " ".join([arm, *rest])) for arm in (BASELINE, *scales)
            ]
    return arms, pairs


_UNDER_LSUV = _integrated(("lsuv",), ("denorm", "rescale", "lsuv"))
_AS_PUBLISHED = _integrated((), ("denorm", "rescale"))
_TINY_EPS, _SQUARED = "--eps 1e-20", "--loss MSE"
_PINN_UNITS = _units([f"rescale={c}" for c in ("0.01", "0.1", "10", "100")], [_TINY_EPS])
_MOLECULAR_UNITS = _units(["rescale=1e3", "rescale=1e6"], [_TINY_EPS, _SQUARED])

_ALL = [
    Study(
        "Does the paper's combination of IReLU, denormalisation and label rescaling reduce the"
        " error, and which of its cells does?",
        [
            Part("pinn", [BASELINE, "irelu+denorm+rescale", "irelu", "rescale"]),
            Part(
                "molecular",
                [
                    BASELINE,
                    "irelu+denorm+rescale",
                    "irelu",
                    "rescale",
                    "irelu+rescale",
                    "denorm+rescale",
                ],
                ["schnet", "cgcnn", "forcenet", "dimenet++"],
                _MOLECULES,
                _PAPER,
            ),
        ],
        "paper",
    ),
    Study(
        "What does removing the normalisation layers do when nothing else is changed?",
        [
            Part("pinn", [BASELINE, "denorm"], ["fnn-bn"]),
            Part("molecular", [BASELINE, "denorm"], _NORMALIZED, _TWO_MOLECULES),
        ],
        "denormalization",
    ),
    Study(
        "Does rescaling the labels help a network without normalisation layers?",
        [
            Part("pinn", ["denorm", "denorm+rescale"], ["fnn-bn"]),
            Part(
                "molecular",
                ["denorm", "denorm+rescale"],
                ["schnet", *_NORMALIZED],
                _TWO_MOLECULES,
                _PAPER,
            ),
        ],
        "label-rescaling",
    ),
    Study(
        "What do denormalisation and label rescaling do alone, and what together?",
        [
            Part("pinn", _SEPARATE, ["fnn-bn"], factors=["denorm", "rescale"]),
            Part(
                "molecular",
                _SEPARATE,
                ["schnet", "cgcnn"],
                _TWO_MOLECULES,
                _PAPER,
                factors=["denorm", "rescale"],
            ),
        ],
        "separate",
    ),
    Study(
        "Is IReLU better than other integrated activations, and are these better than the"
        " activations that they integrate, under equal initialisation?",
        [
            Part("pinn", _UNDER_LSUV[0], ["fnn-bn"], compare=_UNDER_LSUV[1]),
            Part(
                "molecular",
                _AS_PUBLISHED[0],
                ["schnet", "cgcnn"],
                _TWO_MOLECULES,
                _PAPER,
                compare=_AS_PUBLISHED[1],
            ),
        ],
        "integrated-activations",
    ),
    Study(
        "How much of the instability of integrated activations is their initialisation?",
        [
            # A step of the others takes three times as long there; they are compared under LSUV in
            # `integrated-activations`.
            _initialization("pinn", [], [], ["irelu"]),
            _initialization("molecular", ["schnet", "cgcnn"], _TWO_MOLECULES, [*_INTEGRATED]),
        ],
        "initialization",
    ),
    Study(
        "How much of what label rescaling does is done by Adam's eps and by the loss?",
        [
            Part("pinn", _PINN_UNITS[0], compare=_PINN_UNITS[1]),
            Part(
                "molecular",
                _MOLECULAR_UNITS[0],
                ["schnet"],
                _TWO_MOLECULES,
                _PAPER,
                compare=_MOLECULAR_UNITS[1],
                factors=["rescale=1e6", _TINY_EPS, _SQUARED],
            ),
        ],
        "units",
    ),
    Study(
        "What do activation, normalisation and rescaling do, alone and to each other?",
        [
            Part("pinn", _combinations(_EIGHT), ["fnn-bn"], factors=_EIGHT),
            Part(
                "molecular",
                _combinations(_EIGHT),
                _NORMALIZED,
                _TWO_MOLECULES,
                _PAPER,
                factors=_EIGHT,
            ),
        ],
        "factorial",
    ),
]

#: The studies of the suite by name.
STUDIES = {study.name: study for study in _ALL}
