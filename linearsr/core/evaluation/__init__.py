"""How good a picture is: figures with their conventions, the metric of the loops, and sheets for the eye."""

from linearsr.core.evaluation.color import rgb_to_y
from linearsr.core.evaluation.conformance import check_metric
from linearsr.core.evaluation.fidelity import psnr, ssim
from linearsr.core.evaluation.niqe import NIQEParameters, niqe
from linearsr.core.evaluation.picture_metrics import PictureMetrics
from linearsr.core.evaluation.report import print_table, write_metrics_json
from linearsr.core.evaluation.sheet import SheetRow, contact_sheet

__all__ = [
    "NIQEParameters",
    "PictureMetrics",
    "SheetRow",
    "check_metric",
    "contact_sheet",
    "niqe",
    "print_table",
    "psnr",
    "rgb_to_y",
    "ssim",
    "write_metrics_json",
]
