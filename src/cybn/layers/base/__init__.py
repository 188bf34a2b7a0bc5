"""What every layer is made of.

`layer` keeps what a forward leaves for its backward. Beneath it, `pair` keeps nothing: it begins
and ends the pure pair `apply` and `pullback`. `declared` makes attributes, config and state of what
a class declares; `arrays` and `state` hold parameters and buffers. `ranks`, `lazy` and
`channelnorm` are for families.
"""
