"""Symbols <-> bytes: quantization steps, contexts, frequency tables, the range coder.

NumPy and constriction; no floating-point number chooses a symbol.
"""
