"""C++ sources compiled at first use."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from bench.training import native
from bench.training.native import CompileFailed, NoCompiler, cache_folder, load_library

SOURCE = """
#include "number.h"
#ifndef FACTOR
#define FACTOR 1
#endif
extern "C" __attribute__((visibility("default"))) int answer() { return FACTOR * NUMBER; }
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One whose library answers 21 times its macro; its cache is empty."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "sources").mkdir()
    path = tmp_path / "sources" / "answer.cpp"
    path.write_text(SOURCE)
    path.with_name("number.h").write_text("#define NUMBER 21\n")
    return path


@pytest.fixture(autouse=True)
def new_process() -> None:
    native._loaded.cache_clear()
    native._version.cache_clear()


def kept_in() -> Path:
    folder = cache_folder()
    assert folder is not None
    return folder


def libraries() -> list[Path]:
    return sorted(kept_in().glob("*.so"))


def test_compiles_and_loads(source: Path) -> None:
    assert load_library(source).answer() == 21
    assert load_library(source, ["FACTOR=2"]).answer() == 42
    assert len(libraries()) == 2


def test_a_later_process_loads_what_is_kept(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_library(source)
    native._loaded.cache_clear()
    monkeypatch.setattr(native, "_built", None)
    assert load_library(source).answer() == 21


@pytest.mark.parametrize("changed", ["answer.cpp", "number.h"])
def test_a_changed_source_is_compiled_anew(source: Path, changed: str) -> None:
    load_library(source)
    native._loaded.cache_clear()
    path = source.with_name(changed)
    path.write_text(path.read_text().replace("21", "22") + "\n")
    assert load_library(source).answer() == (22 if changed == "number.h" else 21)
    assert len(libraries()) == 2


def test_another_cpu_and_another_compiler_have_their_own(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_library(source)
    for name, other in (("_cpu", lambda: "another"), ("_version", lambda compiler: "another")):
        native._loaded.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(native, name, other)
            load_library(source)
    assert len(libraries()) == 3


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:-1]])
def test_a_damaged_file_is_built_again(source: Path, damage: object) -> None:
    load_library(source)
    native._loaded.cache_clear()
    (library,) = libraries()
    content = library.read_bytes()
    library.unlink()  # the loaded one stays as it is
    library.write_bytes(damage(content))
    assert load_library(source).answer() == 21
    assert libraries() == [library] and library.read_bytes() == content


def test_two_processes_at_once(source: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from bench.training.native import load_library;"
        "print(load_library(Path(sys.argv[1])).answer())"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(source)], stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    assert [process.communicate()[0].strip() for process in running] == [b"21"] * 3
    (library,) = libraries()
    assert [path.name for path in kept_in().iterdir()] == [library.name]
    assert ctypes.CDLL(str(library)).answer() == 21


def test_no_compiler(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "/no/such/compiler")
    for _ in range(2):
        with pytest.raises(NoCompiler, match="/no/such/compiler"):
            load_library(source)
    monkeypatch.setenv("CXX", "")
    with pytest.raises(NoCompiler, match="CXX"):
        load_library(source)


def test_a_compiler_that_fails(source: Path) -> None:
    source.write_text("#error this cannot be\n")
    with pytest.raises(CompileFailed, match=r"failed on answer\.cpp: .*this cannot be"):
        load_library(source)
    assert not kept_in().exists()


def test_a_compiler_that_cannot_be_run(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "compiler"
    broken.write_text("no program\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    with pytest.raises(CompileFailed, match="cannot be run"):
        load_library(source)


def test_a_cache_that_cannot_be_written(source: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    assert load_library(source).answer() == 21
    native._loaded.cache_clear()  # a later process compiles its own
    source.with_name("number.h").write_text("#define NUMBER 23\n")
    assert load_library(source).answer() == 23


def test_a_cache_whose_files_may_not_be_executed(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = ctypes.CDLL

    def refuse(name: str) -> ctypes.CDLL:
        if name.startswith(str(kept_in())):
            raise OSError("failed to map segment from shared object")
        return load(name)

    monkeypatch.setattr(native.ctypes, "CDLL", refuse)
    for _ in range(2):
        native._loaded.cache_clear()
        assert load_library(source).answer() == 21


def test_what_cannot_be_loaded_anywhere(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> ctypes.CDLL:
        raise OSError(f"{name}: no")

    monkeypatch.setattr(native.ctypes, "CDLL", refuse)
    with pytest.raises(CompileFailed, match=r"answer\.cpp was compiled, but cannot be used"):
        load_library(source)


def test_a_user_without_a_home(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    for name in ("HOME", "XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert cache_folder() is None
    assert load_library(source).answer() == 21


def test_a_new_compiler_behind_a_launcher_has_its_own(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "compiler"
    monkeypatch.setenv("CXX", f"env {compiler}")
    for version in (1, 2):
        compiler.write_text(
            f'#!/bin/sh\n[ "$1" = --version ] && echo {version} && exit\nexec g++ "$@"\n'
        )
        compiler.chmod(0o755)
        native._loaded.cache_clear()
        native._version.cache_clear()
        load_library(source)
    assert len(libraries()) == 2


def test_arguments_of_the_compiler(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "g++ -DFACTOR=3")
    assert load_library(source).answer() == 63


def test_where_libraries_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    assert cache_folder() == tmp_path / "dcbench" / "native"
    # What inductor sets itself, where nobody has.
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/tmp/torchinductor_somebody")
    assert cache_folder() == tmp_path / "dcbench" / "native"
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "given"))
    assert cache_folder() == tmp_path / "given" / "native"


def test_a_relative_cache_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for given in ("relative", ""):
        monkeypatch.setenv("XDG_CACHE_HOME", given)
        assert cache_folder() == tmp_path / ".cache" / "dcbench" / "native"
