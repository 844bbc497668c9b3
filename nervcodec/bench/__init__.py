"""Measurements: codecs beside each other, training beside plain PyTorch, times beside the machine.

Returns data; only the command line formats it for a terminal.
"""
