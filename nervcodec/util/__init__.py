"""What every package may use: files, memory, text, checks of values.

Standard library only.
"""
