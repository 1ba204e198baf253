"""What tests load stays loaded: to look through it for garbage, again and again, took a fifth of their CPU."""

import gc

import pytest

gc.disable()  # while modules are loaded


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Collect from here on, and only what comes to be from here on."""
    gc.freeze()
    gc.enable()
