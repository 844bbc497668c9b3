"""The command line: parse, call, print, exit code.

Nothing else knows flags; errors become one line here.
"""
