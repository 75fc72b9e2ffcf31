"""The model of a spec."""

from __future__ import annotations

from bench.spec.spec import Spec
from suites.molecular.models.catalogue import Model, Size, parse_model
from suites.molecular.protocols import get_protocol


def spec_model(spec: Spec) -> Model:
    """The model of a spec, with its whole size."""
    protocol = get_protocol(spec.settings["protocol"])
    return parse_model(spec.model, Size(**spec.settings["size"]), protocol.offset)
