"""The registry: sources of classes, as plugins are."""

import pytest
from shelves import Alpha, Beta, filled

import cybn
from cybn.terms.messages import folded
from cybn.terms.registry import UnknownName, registry


@pytest.fixture
def shelf():
    return filled()


class Plugin:
    """A source of one class, which counts how often it is loaded."""

    def __init__(self, shelf, name, cls, on_load=lambda: None):
        self.shelf, self.name, self.cls, self.on_load = shelf, name, cls, on_load
        self.loaded = 0

    def names(self):
        return [self.name]

    def load(self, name):
        if folded(name) != folded(self.name):
            return None
        self.loaded += 1
        self.on_load()
        if self.shelf.entry_of(self.cls) is None:
            self.shelf.register(self.name)(self.cls)
        return self.cls

    def aliases(self):
        return []

    def names_for(self, entry):
        return entry.names if entry.cls is self.cls else None

    def hint(self, name):
        return f"; {self.name} was asked"


def test_a_source_is_listed_without_loading_and_loaded_once(shelf):
    plugin = Plugin(shelf, "Beta", Beta)
    shelf.sources.append(plugin)
    assert shelf.names() == ["Alpha", "Beta"]
    assert plugin.loaded == 0
    assert shelf.find("be_ta") is shelf.find("Beta") is Beta
    assert plugin.loaded == 1
    assert Beta.registered_name == "Beta"


def test_a_source_may_register_its_class_itself(shelf):
    def register():
        shelf.register("Beta", aliases=("B",))(Beta)

    shelf.sources.append(Plugin(shelf, "Beta", Beta, register))
    assert shelf.find("beta") is shelf.find("B") is Beta


def test_a_source_cannot_shadow_a_registered_name(shelf):
    plugin = Plugin(shelf, "alpha", Beta)
    shelf.sources.append(plugin)
    assert shelf.find("ALPHA") is Alpha
    assert shelf.names() == ["Alpha"]
    assert plugin.loaded == 0


def test_a_name_of_a_source_is_offered(shelf):
    shelf.sources.append(Plugin(shelf, "Betamax", Beta))
    with pytest.raises(UnknownName, match=r"did you mean 'Betamax'\? .*; Betamax was asked$"):
        shelf.find("Betamx")


def test_the_class_of_a_source_replaces_nobody_elses_even_by_force(shelf, monkeypatch):
    monkeypatch.setattr(Beta, "__module__", "another_package")
    shelf.sources.append(Plugin(shelf, "Beta", Beta))
    for name in ("Alpha", "first"):
        with pytest.raises(ValueError, match="is taken by") as error:
            shelf.register(name, force=True)(Beta)
        assert str(error.value).endswith("another name, a plugin replaces nobody else's layer")
    assert shelf.find("Alpha") is shelf.find("first") is Alpha
    old = type("Beta", (), {"__module__": "another_package"})
    shelf.register("Gamma")(old)
    shelf.register("Gamma", force=True)(Beta)  # its own
    assert shelf.find("Gamma") is Beta
    assert shelf.entry_of(old) is None


def test_what_is_forgotten_is_unknown_and_may_come_again(shelf):
    shelf.register("Beta")(Beta)
    shelf.forget([shelf.entry("first")])
    assert (shelf.names(), shelf.registered("A"), shelf.entry_of(Alpha)) == (["Beta"], None, None)
    shelf.register("Alpha")(Alpha)
    assert shelf.find("alpha") is Alpha


def test_a_source_that_breaks_harms_no_other(shelf):
    def fail():
        raise ImportError("missing library")

    shelf.sources += [Plugin(shelf, "Broken", None, fail), Plugin(shelf, "Beta", Beta)]
    with pytest.raises(ImportError, match="missing library"):
        shelf.find("Broken")
    assert shelf.find("Beta") is Beta
    assert shelf.names() == ["Alpha", "Beta", "Broken"]


def test_a_class_that_is_no_layer_is_refused(own_registry):
    class Plain:
        """It has neither options nor a forward."""

    before = registry.names()
    for name, force in (("Plain", False), ("BatchNorm2d", True)):
        message = rf"register\('{name}'\) takes a subclass of cybn\.Layer, got .*Plain; write class"
        with pytest.raises(TypeError, match=message):
            cybn.register(name, force=force)(Plain)
        assert registry.names() == before
    assert not hasattr(Plain, "registered_name")
    assert cybn.create("BatchNorm2d", num_features=3).num_features == 3
