"""The eight molecules of MD17 (Chmiela et al., Science Advances 3, e1603015, 2017)."""

from __future__ import annotations

from pathlib import Path

#: Where the frames are that come with the package.
SHIPPED = Path(__file__).parent / "shipped"

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

#: Frames of MD17's trajectories, at 0.5 fs.
MD17_FRAMES = {
    "aspirin": 211_762,
    "benzene": 627_983,
    "ethanol": 555_092,
    "malonaldehyde": 993_237,
    "naphthalene": 326_250,
    "salicylic-acid": 320_231,
    "toluene": 442_790,
    "uracil": 133_770,
}

#: How many geometries a trajectory's start is chosen from, by energy; one if not named. From a
#: single one salicylic acid starts without its hydrogen bond, and forms it after 6 ps.
CONFORMERS = {"salicylic-acid": 10}

#: Name and formula in Hill order.
FORMULAS = {
    "aspirin": "C9H8O4",
    "benzene": "C6H6",
    "ethanol": "C2H6O",
    "malonaldehyde": "C3H4O2",
    "naphthalene": "C10H8",
    "salicylic-acid": "C7H6O3",
    "toluene": "C7H8",
    "uracil": "C4H4N2O2",
}
