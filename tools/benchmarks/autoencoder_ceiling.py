"""What an autoencoder alone makes of the HR pictures: python tools/benchmarks/autoencoder_ceiling.py CONFIG --out ceiling.json

The config's test pictures that have HR are encoded and decoded, without a denoiser, and measured by its test_evaluator, as the
pictures of tools/test.py are: no restored picture of that latent can be expected to come closer to HR.
"""

import argparse
import json
from typing import TYPE_CHECKING, Any

from linearsr.core.command_line import add_options, run_command

if TYPE_CHECKING:
    from torch import Tensor

    from linearsr.core.evaluation.measures import Measure
    from linearsr.core.protocols import Autoencoder


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what a config's autoencoder leaves of the HR pictures.")
    parser.add_argument("config", help="a Python config file")
    add_options(parser)
    parser.add_argument("--out", help="a JSON file; printed without it")
    arguments = parser.parse_args()

    import torch
    from rich.progress import track

    from linearsr.core.atomic import write_text
    from linearsr.core.config import load_config
    from linearsr.core.errors import ConfigError
    from linearsr.core.evaluation.measures import measures_named
    from linearsr.core.record import machine_record
    from linearsr.core.registries import AUTOENCODERS, DATASETS

    cfg = load_config(arguments.config, arguments.cfg_options)
    evaluator = _picture_metrics(cfg.test_evaluator)
    border, params = evaluator.crop_border, evaluator.get("niqe_params")
    measures = measures_named(evaluator.metrics, crop_border=border, niqe_params=params)
    autoencoder = AUTOENCODERS.build(cfg.model.autoencoder, upscale=cfg.model.upscale)
    dataset = DATASETS.build(_undescribed(cfg.test_dataloader.dataset.to_dict()))
    rows: dict[str, dict[str, Any]] = {}
    with torch.inference_mode():
        for index in track(range(len(dataset)), "encode → decode"):
            sample = dataset[index]
            if "hr" in sample:
                rows.setdefault(sample["dataset"], {})[sample["name"]] = _measured(
                    autoencoder, cfg.model.upscale, measures, sample["hr"]
                )
    if not rows:
        raise ConfigError("none of the test pictures has HR; set test_dataloader.dataset to one with HR, such as PairedFolders")
    report = {
        "sets": {name: {"mean": _mean(each), "pictures": len(each), "each": each} for name, each in rows.items()},
        "autoencoder": cfg.model.autoencoder.to_dict(),
        "crop_border": border,
        "record": machine_record(),
    }
    text = json.dumps(report, indent=1) + "\n"
    if arguments.out:
        write_text(arguments.out, text)
        print("\n".join(f"{name}: {found['mean']}" for name, found in report["sets"].items()))
    else:
        print(text, end="")


def _picture_metrics(evaluators: Any) -> Any:
    from linearsr.core.errors import ConfigError

    for one in evaluators if isinstance(evaluators, list) else [evaluators]:
        if one.type == "PictureMetrics":
            return one
    raise ConfigError("test_evaluator has no PictureMetrics; add one, with the metrics to measure")


def _undescribed(value: Any) -> Any:
    """A data set's description without what looks at its pictures for a guidance."""
    if isinstance(value, dict):
        return {key: _undescribed(own) for key, own in value.items()}
    if isinstance(value, list):
        return [_undescribed(own) for own in value if not (isinstance(own, dict) and own.get("type") == "Describe")]
    return value


def _measured(
    autoencoder: "Autoencoder", upscale: int, measures: "dict[str, Measure]", hr: "Tensor"
) -> dict[str, float | None]:
    """Of hr [3, H, W] in 0..1; NIQE of HR itself beside that of what is left of it."""
    from linearsr.core.models.padding import pad_to_multiple
    from linearsr.core.pixels import round_to_8bit
    from linearsr.core.resampling import resize_bicubic

    whole = pad_to_multiple(hr[None], autoencoder.factor)
    lr = resize_bicubic(whole, tuple(side // upscale for side in whole.shape[-2:])) * 2 - 1
    image_pm1 = autoencoder.decode(autoencoder.encode(whole * 2 - 1, lr), lr)
    picture = round_to_8bit(image_pm1[0, :, : hr.shape[-2], : hr.shape[-1]].float() / 2 + 0.5)
    figures = {name: measure(picture, hr) for name, measure in measures.items()}
    return figures | ({"hr_niqe": measures["niqe"](hr, None)} if "niqe" in measures else {})


def _mean(each: dict[str, dict[str, float | None]]) -> dict[str, float | None]:
    from linearsr.core.evaluation.summary import mean_defined

    names = next(iter(each.values()))
    return {name: mean_defined(list(each.values()), name) for name in names}


if __name__ == "__main__":
    run_command(main)
