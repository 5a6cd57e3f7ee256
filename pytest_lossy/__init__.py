"""pytest-lossy: test vision models under lossy compression and gate what they lose.

This module stays free of heavy imports: pytest imports it in every run of every project that has the plugin
installed. Import what you need from the rooms (``pytest_lossy.codecs``, ``pytest_lossy.tasks``, ...).
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
