"""Algorithms: one class a cell of the table."""
