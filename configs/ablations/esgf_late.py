"""As esgf_knee, but every stage starts from the last checkpoint of the one before."""

_base_ = "esgf_knee.py"

curriculum = dict(start="last")
