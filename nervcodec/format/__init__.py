"""The .nvpp file: what it holds, how it is laid out, read, written, checked and limited.

Standard library only: info and --help load nothing else.
"""
