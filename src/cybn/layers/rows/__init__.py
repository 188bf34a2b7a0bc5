"""Norms that look at each sample by itself: rows of the data, statistics of a row."""
