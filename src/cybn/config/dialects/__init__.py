"""Dialects: how other libraries write norms in their configs, and what they mean by it.

``table`` and ``words`` say what a dialect is, ``shelf`` which there are, ``reading`` makes of a spec
in one what `create` takes, ``marks`` tells whose a spec is that bears another's words. Then there
is one file for each library.
"""
