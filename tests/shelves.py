"""A small registry to put names into, for the tests of the registry."""

from cybn.terms.registry import Registry


class Alpha: ...


class Beta: ...


def owner(cls):
    return f"{cls.__module__}.{cls.__qualname__}"


def filled():
    """A registry that holds Alpha, also known as A and first."""
    shelf = Registry()
    shelf.register("Alpha", aliases=("A", "first"))(Alpha)
    return shelf
