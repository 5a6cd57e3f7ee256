"""The toy suite of the plugin tests, run in processes of its own that the tests may kill."""

from tests.plugin.conftest import suite, toy_images

__all__ = ["suite", "toy_images"]
