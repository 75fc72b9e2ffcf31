"""The asv.conf.json of a checkout, with absolute paths and readable thresholds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asv import config, util

from bench.files.atomic import write_atomically
from bench.text.errors import BadInput
from bench.tracking.thresholds import Thresholds

#: Name of the file in a checkout.
NAME = "asv.conf.json"

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
