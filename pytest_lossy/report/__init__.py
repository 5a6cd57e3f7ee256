"""Reports: pure functions from a results document to HTML, Markdown and terminal lines; no files."""

from __future__ import annotations

from pytest_lossy.report.html import render_html
from pytest_lossy.report.markdown import render_markdown
from pytest_lossy.report.terminal import terminal_lines

__all__ = ["render_html", "render_markdown", "terminal_lines"]
