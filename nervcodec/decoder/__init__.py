"""A .nvpp file -> frames.

Stands by itself: imports neither training nor encoder.
"""
