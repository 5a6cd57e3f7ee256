"""The mini world: an embedded, procedural street-scene data set.

Scenes are drawn from seeds and rendered with numpy and Pillow alone, so that a fresh checkout has labelled
images with the statistics of photographs and no download. Import the data sets from their modules; this one
stays light.
"""

__all__ = ["GENERATOR_VERSION"]

GENERATOR_VERSION = "1"
"""Changes whenever any rendered pixel or label does: part of every fingerprint and of every cache path."""
