"""SchNet and PaiNN on unique pairs: what a pair and its reverse share is computed once."""
