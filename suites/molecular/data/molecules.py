"""The eight molecules of MD17 (Chmiela et al., Science Advances 3, e1603015, 2017)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

#: Where the frames are that come with the package.
SHIPPED = Path(__file__).parent / "shipped"


class Molecule(NamedTuple):
    """One of them.

    Attributes:
        name: In file names.
        formula: In Hill order.
        frames: Of MD17's trajectory, at 0.5 fs.
    """

    name: str
    formula: str
    frames: int


ASPIRIN = Molecule("aspirin", "C9H8O4", 211_762)
BENZENE = Molecule("benzene", "C6H6", 627_983)
ETHANOL = Molecule("ethanol", "C2H6O", 555_092)
MALONALDEHYDE = Molecule("malonaldehyde", "C3H4O2", 993_237)
NAPHTHALENE = Molecule("naphthalene", "C10H8", 326_250)
SALICYLIC_ACID = Molecule("salicylic-acid", "C7H6O3", 320_231)
TOLUENE = Molecule("toluene", "C7H8", 442_790)
URACIL = Molecule("uracil", "C4H4N2O2", 133_770)

#: Name and SMILES. Malonaldehyde is the dialdehyde, as in MD17.
SMILES = {
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "benzene": "c1ccccc1",
    "ethanol": "CCO",
    "malonaldehyde": "O=CCC=O",
    "naphthalene": "c1ccc2ccccc2c1",
    "salicylic-acid": "O=C(O)c1ccccc1O",
    "toluene": "Cc1ccccc1",
    "uracil": "O=c1cc[nH]c(=O)[nH]1",
}

#: How many geometries a trajectory's start is chosen from, by energy; one if not named. From a
#: single one salicylic acid starts without its hydrogen bond, and forms it after 6 ps.
CONFORMERS = {"salicylic-acid": 10}
