"""The eight molecules of MD17 (Chmiela et al., Science Advances 3, e1603015, 2017)."""

from __future__ import annotations

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
