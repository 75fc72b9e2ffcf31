"""asv's configuration of a checkout, as asv itself reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from asv.config import Config
from asv_checkout import asv, checkout

from bench.text.errors import BadInput
from bench.tracking.configuration import Configuration


def test_paths_are_absolute_and_comments_are_allowed(tmp_path: Path) -> None:
    root = checkout(tmp_path / "checkout", regressions_thresholds={"suite": 0.5})
    configuration = Configuration.load(root)
    assert configuration.root == root
    assert configuration.results_dir == root / "work" / "results"
    assert configuration.html_dir == root / "work" / "html"
    assert configuration.env_dir == root / "work" / "env"
    assert configuration.thresholds.of("suite.time_sum") == 0.5


def test_results_elsewhere_leave_the_pages_where_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = checkout(tmp_path / "checkout")
    monkeypatch.chdir(tmp_path)
    configuration = Configuration.load(Path("checkout"), Path("kept/results"))
    assert configuration.results_dir == tmp_path / "kept" / "results"
    assert configuration.html_dir == root / "work" / "html"
    assert configuration.env_dir == root / "work" / "env"


def test_asv_reads_what_is_written(tmp_path: Path) -> None:
    root = checkout(tmp_path / "checkout", regressions_thresholds={"suite": 0.5})
    path = tmp_path / "new" / "asv.json"
    Configuration.load(root).write(path)
    written = Config.load(str(path))
    assert written.repo == str(root)
    assert written.benchmark_dir == str(root / "marks")
    assert written.results_dir == str(root / "work" / "results")
    assert written.branches == ["HEAD"] and written.launch_method == "spawn"
    assert written.regressions_thresholds == {"suite": 0.5}


def test_a_remote_repository_keeps_its_address(tmp_path: Path) -> None:
    root = checkout(tmp_path / "checkout", repo="https://example.org/tiny.git")
    assert Configuration.load(root).content["repo"] == "https://example.org/tiny.git"


def test_the_plugin_of_the_checkout_is_loaded_from_elsewhere(
    run: tuple[Configuration, str],
) -> None:
    configuration, _ = run
    assert (configuration.root / "extra" / "loaded").read_text() == "extra.plugin"


def test_asv_stops_at_a_plugin_that_the_checkout_lacks(tmp_path: Path) -> None:
    root = checkout(tmp_path / "checkout", plugins=[".extra.absent"])
    path = tmp_path / "state" / "asv.json"
    Configuration.load(root).write(path)
    done = asv("check", "--config", str(path), "--python=same", cwd=tmp_path, home=tmp_path)
    assert done.returncode == 1
    assert "No module named 'extra.absent'" in done.stderr


def test_the_configuration_of_this_checkout() -> None:
    root = Path(__file__).parents[2]
    configuration = Configuration.load(root)
    assert configuration.content["benchmark_dir"] == str(root / "bench" / "asv_benchmarks")
    assert (root / "bench" / "asv_benchmarks" / "__init__.py").exists()
    # asv says nothing of a setting that it does not know.
    assert set(configuration.content) <= set(vars(Config()))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "No such file"),
        ('{"version": 1, "repo": ', "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"repo": "."}', "version is None"),
        ('{"version": 2, "repo": "."}', "version is 2"),
        ('{"version": 1}', "No repo specified"),
        ('{"version": 1, "repo": ".", "results_dir": 3}', "results_dir is 3"),
        ('{"version": 1, "repo": ".", "regressions_thresholds": [1]}', "regressions_thresholds"),
        ('{"version": 1, "repo": ".", "regressions_thresholds": {"a": "x"}}', "'x' of 'a'"),
    ],
)
def test_a_bad_configuration_is_named(tmp_path: Path, text: str | None, reason: str) -> None:
    path = tmp_path / "asv.conf.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadInput, match=reason) as caught:
        Configuration.load(tmp_path)
    assert str(caught.value).startswith(f"{path}: ")
