"""Independent jobs, done one after the other, by processes of this machine, or by a Ray cluster.

All three give the same results in the same way; what a job is, is their user's business.
"""
