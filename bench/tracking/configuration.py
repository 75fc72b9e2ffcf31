"""The asv.conf.json of a checkout, with absolute paths and readable thresholds."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asv import config, util

from bench.files.atomic import write_atomically
from bench.text.errors import BadInput

#: Name of the file in a checkout.
NAME = "asv.conf.json"

#: What asv allows where no threshold is set.
DEFAULT_THRESHOLD = 0.05

_PATHS = ("repo", "benchmark_dir", "env_dir", "results_dir", "html_dir")

#: A plugin's stand-in beside a written configuration: importing it gives the module itself.
_STAND_IN = '''\
"""Written with the configuration beside it: asv looks for plugins in its folder only."""

import importlib
import sys

sys.path.insert(0, {root!r})
try:
    sys.modules[__name__] = importlib.import_module({module!r})
finally:
    sys.path.remove({root!r})
'''


@dataclass(frozen=True)
class Thresholds:
    """How much larger a value may get before it is a regression, by the name of the value.

    Patterns mean what they mean on asv's pages. A pattern is matched (`re.match`) against the
    value's name followed by ``@`` and the branch; the largest threshold of those that match counts.

    Attributes:
        patterns: Regular expression → relative increase, at least 0 and possibly infinite.
        branch: The branch that asv publishes, empty for none.
    """

    patterns: Mapping[str, float]
    branch: str = ""

    @classmethod
    def parse(cls, patterns: object, branch: str = "") -> Thresholds:
        """Check what a configuration has under ``regressions_thresholds``.

        Raises:
            BadInput: It is no mapping, a pattern is no regular expression, or a threshold is
                neither a number nor its text, or is negative.
        """
        if not isinstance(patterns, Mapping):
            raise BadInput(f"regressions_thresholds is {patterns!r}, not pattern: number")
        return cls({_pattern(key): _threshold(key, patterns[key]) for key in patterns}, branch)

    def of(self, name: str) -> float:
        """The threshold of a value, for instance of ``steps.PINNStep.time_step('advection-1d')``.

        0.05 allows an increase by 5 %; that is also the threshold where no pattern matches.
        """
        entry = f"{name}@{self.branch}" if self.branch else name
        matching = [number for key, number in self.patterns.items() if re.match(key, entry)]
        return max(matching, default=DEFAULT_THRESHOLD)


def _pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise BadInput(f"regressions_thresholds: bad pattern {pattern!r}: {error}") from None
    return pattern


def _threshold(pattern: str, value: Any) -> float:
    try:
        if isinstance(value, bool):
            raise ValueError
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    # A NaN would be a threshold that nothing exceeds.
    if math.isnan(number) or number < 0:
        raise BadInput(
            f"regressions_thresholds: {value!r} of {pattern!r} is not a number of at least 0"
        )
    return number


@dataclass(frozen=True)
class Configuration:
    """asv's configuration of a checkout.

    Attributes:
        root: The checkout, absolute.
        results_dir: Folder in which asv keeps results, absolute, like the other folders.
        html_dir: Folder in which asv publishes its pages.
        env_dir: Folder in which asv keeps environments.
        thresholds: What counts as a regression.
        content: All of asv's settings, with absolute paths.
    """

    root: Path
    results_dir: Path
    html_dir: Path
    env_dir: Path
    thresholds: Thresholds
    content: Mapping[str, Any]

    @classmethod
    def load(cls, root: Path, results: Path | None = None) -> Configuration:
        """Read ``asv.conf.json`` of a checkout.

        Args:
            root: The checkout.
            results: Keep results in this folder instead.

        Raises:
            BadInput: There is no such file, or it is not one that asv can use.
        """
        root = root.absolute()
        path = root / NAME
        try:
            return cls._parse(root, _read(path), results)
        except BadInput as error:
            raise BadInput(f"{path}: {error}") from None

    @classmethod
    def _parse(cls, root: Path, content: dict[str, Any], results: Path | None) -> Configuration:
        try:
            settings = vars(config.Config.from_json(content))
        except util.UserError as error:
            raise BadInput(str(error)) from None
        paths = {}
        for name in _PATHS:
            if not isinstance(settings[name], str):
                raise BadInput(f"{name} is {settings[name]!r}, not a path")
            paths[name] = root / settings[name]
        if results is not None:
            paths["results_dir"] = results.absolute()
        absolute = {name: str(folder) for name, folder in paths.items()}
        if not paths["repo"].exists():
            # The address of a remote repository.
            absolute["repo"] = settings["repo"]
        branch = settings["branches"][0]
        return cls(
            root=root,
            results_dir=paths["results_dir"],
            html_dir=paths["html_dir"],
            env_dir=paths["env_dir"],
            thresholds=Thresholds.parse(settings["regressions_thresholds"], branch or ""),
            content={**content, **absolute},
        )

    def write(self, path: Path) -> None:
        """Write a configuration with which ``asv --config PATH`` works from any folder.

        asv changes to the folder of its configuration, and looks there for the plugins of the
        checkout (those whose names start with a dot). For each of them a module is written beside
        the configuration that imports it from the checkout.

        Args:
            path: File to write; its folder is made if needed.
        """
        plugins = []
        for plugin in self.content.get("plugins", []):
            if plugin.startswith("."):
                module = plugin.removeprefix(".")
                stand_in = f"{module.replace('.', '_')}_of_checkout"
                source = _STAND_IN.format(root=str(self.root), module=module)
                write_atomically(path.with_name(f"{stand_in}.py"), source.encode())
                plugin = f".{stand_in}"
            plugins.append(plugin)
        content = {**self.content, "plugins": plugins, "version": config.Config.api_version}
        write_atomically(path, json.dumps(content, indent=4).encode() + b"\n")


def _read(path: Path) -> dict[str, Any]:
    """The settings of a file, without its version."""
    try:
        content = util.load_json(str(path), js_comments=True)
    except OSError as error:
        raise BadInput(error.strerror or str(error)) from None
    except ValueError as error:
        raise BadInput(f"not JSON: {error}") from None
    if not isinstance(content, dict):
        raise BadInput("not a JSON object")
    version = content.pop("version", None)
    if version != config.Config.api_version:
        raise BadInput(f"version is {version!r}, not {config.Config.api_version}")
    return content
