"""Norms whose statistics lie in a sample: no sample depends on another."""
