"""``pytest-lossy init``: look at a repository, and write what a first run needs.

``tree`` lists the repository, ``layouts`` and ``networks`` recognise data and models in it, ``choices`` decides (and asks),
``drafts`` makes the texts, ``ini_files`` edits pytest's own configuration, ``command`` writes.
"""
