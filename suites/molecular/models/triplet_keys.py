"""Keys of the triplets in a batch, of which DimeNet++ alone makes use."""

#: Positions of the pairs j → i and k → j of each triplet, (triplets,) int64.
JI, KJ = "dimenet_ji", "dimenet_kj"
