"""Video codecs through PyAV: one encoder family per file, on a common base."""
