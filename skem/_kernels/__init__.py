"""Compiled passes and K-sized algebra: a leaf that imports nothing else of skem."""
