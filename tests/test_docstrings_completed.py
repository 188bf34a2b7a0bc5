"""Docstrings that are completed from what a class says otherwise."""

import cybn
from cybn.terms.docstrings import parts_of
from cybn.terms.signature import takes_options_of


def test_what_a_parent_explains(own_registry):
    class Parent(cybn.Layer):
        """A parent.

        Parameters
        ----------
        size
            How large.
        kind : str
            Of which kind.

        Raises
        ------
        ValueError
            Never.
        """

        def __init__(self, size: int = 3, kind: str = "a"): ...

    class Child(Parent):
        """A child.

        Parameters
        ----------
        age
            How old.
        """

        @takes_options_of(Parent, size=4)
        def __init__(self, *args, age: float = 1.5, **kwargs): ...

    doc = parts_of(Child.__doc__)
    assert [(e.names[0], e.type, e.text) for e in doc.entries()] == [
        ("size", "int, default 4", "How large."),
        ("kind", "str", "Of which kind."),
        ("age", "number, default 1.5", "How old."),
    ]
    assert "Never." in doc.sections["Raises"]
    cybn.register("Child")(Child)
    assert cybn.describe("Child")["options"]["kind"]["description"] == "Of which kind."


def test_what_a_base_explains_whose_init_is_taken_as_it_is():
    class Base(cybn.Layer):
        """A base.

        Of a paper [1]_.

        Parameters
        ----------
        size
            How large.

        Attributes
        ----------
        weight : (C,)
            Learned.

        References
        ----------
        .. [1] A paper.
        """

        def __init__(self, size: int = 3): ...

    class Variant(Base):
        """A variant.

        Attributes
        ----------
        bias : (C,)
            Learned.
        """

    doc = parts_of(Variant.__doc__)
    assert (doc.summary, doc.more) == ("A variant.", "Of a paper [1]_.")
    assert [entry.names for entry in doc.entries()] == [("size",)]
    assert list(doc.named("Attributes")) == ["bias", "grads"]
    assert doc.sections["References"] == ".. [1] A paper."


def test_a_docstring_in_another_form_is_left_alone(own_registry):
    @cybn.register("Free")
    class Free(cybn.Layer):
        """Free: text.

        size: not numpydoc's.
        """

        def __init__(self, size: int = 3): ...

    assert "size: not numpydoc's." in Free.__doc__
    assert cybn.describe("Free")["options"]["size"]["description"] is None
    assert "description" not in cybn.schema("Free")["properties"]["size"]
