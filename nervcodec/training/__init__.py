"""Fits one network to the frames of one segment.

Knows neither files nor videos: exact measures are handed in.
"""
