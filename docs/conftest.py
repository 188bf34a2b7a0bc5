"""Pages whose samples need PyTorch are skipped where it is not installed."""

import pytest


@pytest.fixture(autouse=True)
def pytorch(request):
    """PyTorch, for the pages about it."""
    if request.path.name.startswith("pytorch"):
        pytest.importorskip("torch", reason='PyTorch is not installed: pip install "cybn[torch]"')
