"""The figures of a report, as SVG text to be put inline in HTML."""
