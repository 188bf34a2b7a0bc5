"""Dialects: how other libraries write norms in their configs, and what they mean by it.

``table`` and ``words`` say what a dialect is, ``shelf`` which there are; ``reading`` makes of a
spec what `create` takes, ``lacking`` refuses what no layer can be, and ``marks`` tells whose a spec
is. Then there is one file for each library.
"""
