"""Training: fitting on compressed data, and the reference suite's own models from scratch."""
