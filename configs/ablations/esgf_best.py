"""As esgf_knee, but every stage starts from the checkpoint with the best metric of the one before."""

_base_ = "esgf_knee.py"

curriculum = dict(start="best:psnr_y")
