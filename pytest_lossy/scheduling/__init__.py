"""How a run is spread over pytest-xdist's workers: who gets which case next, and on which device."""
