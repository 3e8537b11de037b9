"""Sana's weights as the start of a run: python tools/convert_sana.py SANA configs/linearsr_0.6b_x4.py --out sana.safetensors

Then: python tools/train.py CONFIG --cfg-options load_from=sana.safetensors, or a first stage with init="sana.safetensors".
"""

import argparse
import json

from linearsr.core.command_line import add_options, run_command


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a Sana checkpoint under our names, widened for the LR picture.")
    parser.add_argument(
        "source", help="a diffusers folder (of a pipeline, or its transformer), or a weights file in either naming"
    )
    parser.add_argument("config", help="a config; its model.denoiser, or the expert of its mixture, takes the weights")
    parser.add_argument("--out", required=True, help="the .safetensors file to write")
    parser.add_argument("--latent-factor", type=int, default=32, help="of the autoencoder (%(default)s, DC-AE f32)")
    add_options(parser)
    arguments = parser.parse_args()

    # after the arguments: --help needs no torch
    from linearsr.core.config import load_config
    from linearsr.core.record import run_record
    from linearsr.core.weights import convert_sana, write_safetensors

    cfg = load_config(arguments.config, arguments.cfg_options)
    seed = int((cfg.get("randomness") or {}).get("seed") or 0)
    state, report = convert_sana(
        arguments.source, cfg.model.denoiser, upscale=cfg.model.upscale, latent_factor=arguments.latent_factor, seed=seed
    )
    record = run_record(cfg) | {"source": arguments.source}
    path = write_safetensors(arguments.out, state, {"record": json.dumps(record)})
    print(f"{sum(tensor.numel() for tensor in state.values()) / 1e6:.1f} M parameters in {path}")
    print(f"new, drawn with seed {seed}: {', '.join(report.new) or 'none'}; input channels added at 0: {report.widened}")


if __name__ == "__main__":
    run_command(main)
