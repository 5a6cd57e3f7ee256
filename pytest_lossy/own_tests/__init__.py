"""Models and data that the user's own tests hand over: the fixture ``lossy`` and the marker ``lossy_spec``."""
