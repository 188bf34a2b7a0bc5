"""What the stub says of a layer: types of its options and attributes, read from the class.

Options are known by their kinds, arrays by building the layer with its options one way and the
other. `cybn.Layer` takes any attribute, since it may be anybody's; a class in the stub takes those
that are listed, so that a slip is found.
"""

import contextlib
from collections.abc import Iterable

import cybn
from cybn.terms.kinds import Choice, DTypeName, Either, Items, Kind, Scalar, Sizes, Table
from cybn.terms.signature import Option, options_of


def given(kind: Kind) -> str:
    """The type of what an option is given."""
    match kind:
        case DTypeName():
            return "str | type[Any] | np.dtype[Any]"
        case Choice(values=(None,)):
            return "None"
        case Choice():
            return f"Literal[{', '.join(map(repr, kind.values))}]".replace("'", '"')
        case Either():
            return " | ".join(dict.fromkeys(map(given, kind.kinds)))
        case Scalar():
            return kind.type.__name__
        case Sizes():
            return "int | Sequence[int]"
        case Items(fixed=True):
            return f"list[Any] | tuple[{', '.join(map(given, kind.kinds))}]"
        case Items():
            return f"Sequence[{given(kind.kinds[0])}]"
        case Table():
            return f"Mapping[str, {given(kind.values)}]"
    return "Any"


def kept(kind: Kind) -> str:
    """The type of the attribute that an option becomes."""
    match kind:
        case DTypeName():
            return "str"
        case Either():
            return " | ".join(dict.fromkeys(map(kept, kind.kinds)))
        case Sizes():
            return "tuple[int, ...]"
        case Items(fixed=True):
            inner = ", ".join(map(kept, kind.kinds))
            return f"tuple[{inner}]" if kind.container is tuple else "list[Any]"
        case Items():
            inner = kept(kind.kinds[0])
            return f"tuple[{inner}, ...]" if kind.container is tuple else f"list[{inner}]"
        case Table():
            return f"dict[str, {kept(kind.values)}]"
    return given(kind)


def parameter(option: Option) -> str:
    """An option in a signature."""
    text = f"{option.name}: {given(option.kind)}"
    if option.required:
        return text
    simple = isinstance(option.default, (int, float, str, type(None)))
    return f"{text} = {option.default!r}".replace("'", '"') if simple else f"{text} = ..."


def attributes(cls: type) -> Iterable[tuple[str, str]]:
    """The attributes of a layer, and their types."""
    arrays = _arrays(cls)
    for name, option in options_of(cls).items():
        if name not in arrays:
            yield name, kept(option.kind)
    for name, seen in arrays.items():
        array = "NDArray[Any]" if True in seen else ""
        yield name, " | ".join(filter(None, [array, "None" if False in seen else ""]))
    for name in cls.differentiated:
        yield f"d{name}", "NDArray[Any] | None"


def _arrays(cls: type) -> dict[str, set[bool]]:
    """The arrays that are attributes, and whether each is there, by one option or another."""
    required = {name: 4 for name, option in options_of(cls).items() if option.required}
    usual = {"num_features": 4, **required}
    layers = [cybn.create(cls, **usual)]
    for name, option in options_of(cls).items():
        for kind in option.kind.alternatives():
            values = (True, False) if kind == Scalar(bool) else getattr(kind, "values", ())
            for value in values:
                with contextlib.suppress(TypeError, ValueError):
                    layers.append(cybn.create(cls, **{**usual, name: value}))
    with contextlib.suppress(TypeError):
        layers.append(cls())  # a lazy one
    found: dict[str, set[bool]] = {}
    for layer in layers:
        for name, a in (*layer._parameters.items(), *layer._buffers.items()):
            if "." not in name:
                found.setdefault(name, set()).add(a is not None)
    for layer in layers:  # one that is an attribute with some options alone may be an option's name
        for name in found.keys() - layer._parameters.keys() - layer._buffers.keys():
            found[name].add(False)
    return found
