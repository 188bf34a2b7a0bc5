"""What samples on pages need, and leave behind."""

import pytest


@pytest.fixture(autouse=True)
def page(request):
    """A page that needs PyTorch is skipped where there is none; what it registers is gone after."""
    if request.path.suffix != ".md":
        yield
        return
    if request.path.name.startswith("pytorch"):
        pytest.importorskip("torch", reason='PyTorch is not installed: pip install "cybn[torch]"')
    from cybn.terms.registry import registry

    before = registry._entries
    yield
    registry._entries = before
