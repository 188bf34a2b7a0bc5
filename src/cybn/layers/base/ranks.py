"""ranked: the classes 1d, 2d and 3d of a family, declared once.

The family computes; its classes differ in how many axes their input has, and in what follows from
that: name, aliases and docstring. Rejected: three class statements to a family, which say the same
thing three times; one class for every rank, since PyTorch's names are classes, and an input of
another rank is a mistake that is to be told.
"""

from __future__ import annotations

from functools import partial
from types import new_class
from typing import TypeVar

from ...arrays.fixes import axes_text
from ...terms.messages import listed
from ...terms.registry import registry
from .documented import Documented
from .layer import Layer

__all__ = ["ranked"]

L = TypeVar("L", bound=Layer)
Ranks = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

_BATCHES: Ranks = ((2, 3), (4,), (5,))


def ranked(
    family: type[L],
    short: str | None = None,
    *,
    ranks: Ranks | None = None,
    beside: tuple[type[Layer], ...] = (),
    force: bool = False,
    **attributes: str,
) -> tuple[type[L], type[L], type[L]]:
    """Make and register the classes 1d, 2d and 3d of a family, a Layer class for any rank.

    They are assigned under their own names in the module of the family, so that pickle finds them.
    Each is a subclass of the family that has `ranks`, the numbers of axes of an input, which the
    family's `apply` goes by. If the family has no name in the registry its own is an alias of the
    class 2d.

    Parameters
    ----------
    family : type
        The class that computes, `MyNorm`. In its docstring `<name>`, `<d>`, `<shapes>`, `<batch>`,
        `<sample>`, `<last>` and `<ones>` stand for what differs: the name of a class and the end of
        it, the shapes that it takes, the last of them and that without N, the shapes with channels
        last, and as many `, 1` as come after (N, C, L) in the shape of an example.
    short : str, optional
        A short name, `MN`: `MN1d` and so on are aliases then.
    ranks : tuple of tuples, optional
        The numbers of axes that each class takes, the largest last. If it is left out, those of the
        classes `beside`, or else those of BatchNorm1d, BatchNorm2d and BatchNorm3d.
    beside : tuple of type, optional
        Three further bases, one for each class.
    force : bool, optional
        Take the names from their present owners, as `register` does.
    **attributes
        Further attributes of the classes, with the rank in the place of `{}`.

    Returns
    -------
    tuple of type
        The three classes.

    Raises
    ------
    ValueError
        For a name that is taken; none of the classes is registered then.

    Examples
    --------
    >>> import cybn
    >>> from typing import Any
    >>> class MyNorm(cybn.Layer):
    ...     '''My normalization of <shapes>.'''
    ...     ranks: tuple[int, ...]
    ...     def __init__(self, num_features: int): ...
    >>> MyNorm1d, MyNorm2d, MyNorm3d = cybn.ranked(MyNorm, "MN", force=True)
    >>> MyNorm2d.__doc__, MyNorm2d.ranks
    ('My normalization of (N, C, H, W).', (4,))
    >>> cybn.create("MN3d", num_features=4)
    MyNorm3d(4)
    """
    text, named = _text_of(family), "registered_name" in vars(family)
    ranks = ranks or tuple(each.ranks for each in beside) or _BATCHES
    classes: list[type[L]] = []
    for i, own in enumerate(ranks):
        name, end = f"{family.__name__}{i + 1}d", f"{i + 1}d"
        body = {
            "__module__": family.__module__,
            "__qualname__": f"{family.__qualname__}{end}",
            "__doc__": text and _filled(text, name, i + 1, own),
            "ranks": own,
            **{key: value.format(i + 1) for key, value in attributes.items()},
        }
        cls = new_class(name, (family, *beside[i : i + 1]), exec_body=partial(_fill, body))
        aliases = [f"{short}{end}"] if short else []
        if end == "2d" and not named:
            aliases = [*filter(None, [short]), *aliases, family.__name__]
        try:
            registry.register(name, aliases=aliases, force=force)(cls)
        except ValueError:
            registry.forget(each for each in registry.entries() if each.cls in classes)
            raise
        classes.append(cls)
    if text:
        every = getattr(family, "ranks", ()) or tuple(sorted({n for own in ranks for n in own}))
        name = family.__name__ if named else f"{family.__name__}2d"
        family.__doc__ = Documented(_filled(text, name, 2, every))
    one, two, three = classes
    return one, two, three


def _fill(body: dict[str, object], namespace: dict[str, object]) -> None:
    namespace.update(body)


def _text_of(family: type) -> str | None:
    doc = vars(family).get("__doc__")
    return doc.text if isinstance(doc, Documented) else doc


def _filled(text: str, name: str, rank: int, ranks: tuple[int, ...]) -> str:
    # The docstring of a class: what differs in the place of its marks
    marks = {
        "name": name,
        "d": f"{rank}d",
        "shapes": listed([axes_text(n, 1) for n in ranks], "or"),
        "last": listed([axes_text(n, -1) for n in ranks], "or"),
        "batch": axes_text(rank + 2, 1),
        "sample": axes_text(rank + 1, 1, batched=False),
        "ones": ", 1" * (rank - 1),
    }
    for mark, value in marks.items():
        text = text.replace(f"<{mark}>", value)
    return text
