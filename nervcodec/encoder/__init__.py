"""A video -> a .nvpp file: target, network, plan, fit of every segment, resume.

Imports training and decoder.
"""
