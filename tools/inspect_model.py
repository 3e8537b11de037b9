"""What a config's model costs, before anything runs: python tools/inspect_model.py configs/linearsr_0.6b_x4.py --device H200"""

import argparse

from linearsr.core.command_line import add_options, run_command


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Parameters, FLOPs, bytes, memory and least time of a restored picture and of training, layer by layer."
    )
    parser.add_argument("config", help="a config file; one with stages is taken stage by stage")
    parser.add_argument("--stage", help="one of the config's stages alone")
    parser.add_argument("--device", help="H100 (default) or H200: peaks of its data sheet")
    parser.add_argument("--calibrate", action="store_true", help="this machine instead, whose peaks are measured first")
    parser.add_argument("--size", default="256", help="of the LR picture: its side, or rows and columns, 180x320 (%(default)s)")
    parser.add_argument("--steps", type=int, help="of sampling; by default the most of test_cfg.num_steps")
    parser.add_argument("--dtype", help="of restoring, by autocast; by default that of test_cfg")
    parser.add_argument("--tokens", type=int, help="of the guidance, by default as many as it keeps")
    parser.add_argument("--guidance-width", type=int, help="of these tokens, where the weights that say it are not there")
    parser.add_argument("--no-train", action="store_true", help="leave the training step out")
    parser.add_argument("--json", action="store_true", help="everything as JSON; FLOPs, bytes and seconds")
    add_options(parser)
    arguments = parser.parse_args()

    from linearsr.core.planning.asking import Asked, read_size  # after the arguments: --help needs no torch
    from linearsr.core.planning.showing import run_inspect

    size = read_size(arguments.size)
    guidance = {"tokens": arguments.tokens, "guidance_width": arguments.guidance_width}
    asked = Asked(size, arguments.steps, arguments.dtype, **guidance, train=not arguments.no_train)
    run_inspect(
        arguments.config,
        arguments.cfg_options,
        asked,
        arguments.device,
        stage=arguments.stage,
        calibrate=arguments.calibrate,
        as_json=arguments.json,
    )


if __name__ == "__main__":
    run_command(main)
