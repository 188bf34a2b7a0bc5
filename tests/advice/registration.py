"""Names of layers: in the registry, in plugins and in new projects."""

import cybn
from cybn.command.project import write_project
from cybn.terms.registry import Registry


class _Plain:
    """A class that is no layer."""


class _Mine(cybn.Layer):
    """A layer."""


def a_decorator_without_a_name(given):
    yield lambda: Registry().register(_Mine)
    yield lambda: Registry().register("_Mine".strip("_"))(_Mine)


def one_alias_as_a_text(given):
    yield lambda: Registry().register("Mine", aliases="BN")
    yield lambda: Registry().register("Mine", aliases=("BN",))(_Mine)


def a_class_that_is_no_layer(given):
    yield lambda: cybn.register("Plain")(_Plain)

    def derived():
        class Plain(cybn.Layer):
            """A class that is one."""

        return cybn.register("Plain")(Plain)

    yield derived


def a_second_name(given):
    shelf = Registry()
    shelf.register("Alpha")(_Mine)
    yield lambda: shelf.register("Beta")(_Mine)
    yield lambda: shelf.register("Alpha", aliases=("Beta",))(_Mine)
    yield lambda: shelf.register("Beta", force=True)(_Mine)


def a_name_that_is_taken(given):
    shelf = Registry()
    shelf.register("Alpha")(_Mine)
    yield lambda: shelf.register("Alpha")(_Plain)
    yield lambda: shelf.register("Beta")(_Plain)
    yield lambda: shelf.register("Alpha", force=True)(_Plain)


def an_option_called_type(given):
    def layer(name):
        source = f"class Odd(cybn.Layer):\n    def __init__(self, {name}: int = 1): ..."
        names = {"cybn": cybn}
        exec(source, names)
        return names["Odd"]()

    yield lambda: layer("type")
    yield lambda: layer("kind")


def options_by_any_name(given):
    class Any(cybn.Layer):
        """A layer whose options are not listed."""

        def __init__(self, **options): ...

    class Listed(cybn.Layer):
        """A layer whose options are."""

        def __init__(self, scale: float = 1.0): ...

    yield lambda: Any()
    yield lambda: Listed(scale=2)


def a_project_by_a_name_that_is_taken(given):
    yield lambda: write_project("BatchNorm2d", "python", given.folder)
    yield lambda: write_project("MyOwnNorm", "python", given.folder)


def a_project_by_a_word_of_its_files(given):
    yield lambda: write_project("Layer", "python", given.folder)
    yield lambda: write_project("MyOwnNorm", "python", given.folder)


def a_project_without_a_capital(given):
    yield lambda: write_project("my_norm", "python", given.folder)
    yield lambda: write_project("MyNorm", "python", given.folder)
