"""Variants from papers, each in one file."""
