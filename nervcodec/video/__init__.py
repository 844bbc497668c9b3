"""Video files <-> frames, by our own .y4m and by FFmpeg.

The only package that imports av.
"""
