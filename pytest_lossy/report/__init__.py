"""Reports: pure functions from a results document to text; nothing here writes files.

``html.render_html``, ``markdown.render_markdown`` and ``terminal.terminal_lines`` stand in modules of their
own and are not imported here: a run that prints to the terminal must not pay for Jinja2.
"""
