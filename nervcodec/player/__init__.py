"""The player: a page that decodes .nvpp files in a browser, and what serves or exports it.

The page is plain HTML, CSS and modules of JavaScript; the modules of Python here need the standard
library alone.
"""
