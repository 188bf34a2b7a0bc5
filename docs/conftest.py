"""What samples on pages need, and leave behind."""

import pytest


@pytest.fixture(autouse=True)
def pytorch(request):
    """PyTorch, for the pages about it."""
    if request.path.name.startswith("pytorch"):
        pytest.importorskip("torch", reason='PyTorch is not installed: pip install "cybn[torch]"')


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    """What a page registers is gone when it ends."""
    from cybn.terms.registry import registry

    monkeypatch.setattr(registry, "_entries", registry._entries)
