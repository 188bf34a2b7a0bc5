"""Batch norm and its relatives: one family, one file."""
