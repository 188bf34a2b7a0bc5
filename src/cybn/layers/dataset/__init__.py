"""Norms whose statistics are those of a data set, fitted before use."""
