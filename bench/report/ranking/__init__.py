"""The answer of a ranking: standings, and a page of them."""
