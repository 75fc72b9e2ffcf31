"""Downloads of MD17 and revised MD17 by SchNetPack's own data modules."""

from __future__ import annotations

import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.files.untrusted import gib, shortened
from bench.text.errors import BadInput, unknown
from suites.molecular.data.frames import MAX_BYTES
from suites.molecular.data.molecules import SMILES

#: Where `schnetpack.datasets.rMD17` finds the archive of all molecules (about 1 GB).
REVISED_URL = "https://figshare.com/ndownloader/files/23950376"


def database_path(molecule: str, revised: bool, root: Path) -> Path:
    """The database that `download_md17` writes."""
    return root / f"{'rmd17' if revised else 'md17'}_{molecule}.db"


def download_md17(molecule: str, revised: bool, root: Path) -> Path:
    """Download a molecule into a SchNetPack database, unless it is there.

    SchNetPack writes each frame in a transaction of its own, which takes minutes for the largest
    trajectories. It drops revised MD17's ``old_indices``, so those frames stay in random order. The
    published npz file, downloaded by hand, is read faster and in order (`read_npz`).

    Args:
        molecule: A name of `SMILES`.
        revised: Revised MD17 instead of MD17.
        root: Folder for the database; made if it is not there.

    Returns:
        The database, which `read_ase` reads; it holds its units. It appears whole or not at all.

    Raises:
        BadInput: The molecule is unknown, or the download fails.
    """
    if molecule not in SMILES:
        raise unknown("molecule", molecule, SMILES)
    path = database_path(molecule, revised, root)
    if path.is_file():
        return path
    # Imported here because they load all of SchNetPack.
    from schnetpack.datasets import MD17, rMD17

    name = molecule.replace("-", "_")
    try:
        root.mkdir(parents=True, exist_ok=True)
        with scratch(root) as folder:
            written = folder / path.name
            data = (rMD17 if revised else MD17)(str(written), molecule=name, batch_size=1)
            file = data.datasets_dict[name]
            url = REVISED_URL if revised else data.download_url + file
            try:
                data.prepare_data()
            except Exception as error:  # no network; a file that is cut off or something else
                raise BadInput(
                    f"{url} could not be downloaded ({shortened(error)}): put {file} into {root} by"
                    " hand"
                ) from error
            os.replace(written, path)
    except OSError as error:
        raise BadInput(f"{root}: cannot be written: {error.strerror}") from error
    return path


@contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """A folder below `root` that also holds temporary files and is removed afterwards.

    SchNetPack unpacks into the temporary folder of the system, which may be too small, and leaves
    its files there when it fails. Before Python 3.14 it would write to any path that an archive
    names. Here it unpacks plain data only, below the folder that it was given.
    """
    filtering = tarfile.TarFile.extraction_filter
    with tempfile.TemporaryDirectory(prefix=".download-", dir=root) as folder:
        before, tempfile.tempdir = tempfile.tempdir, folder
        tarfile.TarFile.extraction_filter = staticmethod(_plain_file)
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = before
            tarfile.TarFile.extraction_filter = filtering


def _plain_file(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo:
    """A member of an archive, if it is a file of at most `MAX_BYTES` that stays below `path`.

    Raises:
        tarfile.FilterError: It is something else.
    """
    if not member.isfile():
        raise tarfile.SpecialFileError(member)
    if member.size > MAX_BYTES:
        error = tarfile.FilterError(
            f"{member.name!r} has {gib(member.size)} GiB, more than the limit of {gib(MAX_BYTES)}"
        )
        error.tarinfo = member
        raise error
    return tarfile.data_filter(member, path)
