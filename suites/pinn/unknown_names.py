"""Names of the metrics of an unknown, which a suite can list without torch."""

#: Begins the metric of an unknown's value.
UNKNOWN = "unknown "


def error_name(unknown: str) -> str:
    """The metric of an unknown's error."""
    return f"error {unknown}"
