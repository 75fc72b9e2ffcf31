"""The size of a network as its name gives it."""

from __future__ import annotations

import re

from bench.text.errors import BadInput

_SIZE = re.compile(r"0*([1-9][0-9]{0,3})x0*([1-9][0-9]{0,3})")
_LARGEST = 4096
#: 16 GB with Adam's moments, in float32.
_MOST_WEIGHTS = 10**9


def parse_size(model: str, size: str, form: str, example: str) -> tuple[int, int]:
    """The two numbers of a size, features first and then layers.

    Args:
        model: What was given, for the message.
        size: Its part after the colon.
        form: For the message, ``<width>x<depth>``.
        example: For the message, ``fnn:40x6``.

    Raises:
        BadInput: It has another form, is out of range, or is of a network that fits nowhere.
    """
    match = _SIZE.fullmatch(size)
    features, layers = (int(number) for number in match.groups()) if match else (0, 0)
    if not (1 <= features <= _LARGEST and 1 <= layers <= _LARGEST):
        raise BadInput(
            f"model {model!r}: the size is {form}, each from 1 to {_LARGEST}, for instance"
            f" {example}"
        )
    weights = features * features * layers
    if weights > _MOST_WEIGHTS:
        raise BadInput(
            f"model {model!r}: its layers have some {weights:.0e} weights, at most"
            f" {_MOST_WEIGHTS:.0e} are possible"
        )
    return features, layers
