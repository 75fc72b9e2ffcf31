"""Leaderboards: all arms of a store, like against like."""
