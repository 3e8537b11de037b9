"""Who serves which noise best: python tools/routing_audit.py configs/ablations/experts_4_snr.py work_dirs/experts_4_snr

Of a config with stages the checkpoint is named as for tools/test.py: experts@knee, a file in a stage's folder, or a folder: a
stage's, or the whole run's for its last stage.
"""

import argparse

from linearsr.core.command_line import add_options, run_command


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask every expert of a mixture at every noise level of the validation data.")
    parser.add_argument("config", help="a Python config file whose denoiser is a mixture")
    parser.add_argument("checkpoint", help="weights of the config's model, a run's folder for its newest, or STAGE@knee")
    parser.add_argument("--out", help="a folder for routing_audit.json; the tables alone are printed without it")
    parser.add_argument("--plot", metavar="PNG", help="a picture of the errors over log-SNR (needs matplotlib)")
    parser.add_argument("--bins", type=int, default=16, help="noise levels, equal in log-SNR, besides t = 1 (%(default)s)")
    parser.add_argument("--pictures", type=int, help="at most so many (all of the validation data)")
    add_options(parser)
    arguments = parser.parse_args()

    # after the arguments: --help needs no torch
    from linearsr.core.engine.routing_audit import run_routing_audit, write_audit
    from linearsr.core.engine.routing_audit_report import plot_audit, print_audit

    found, record = run_routing_audit(
        arguments.config,
        arguments.checkpoint,
        bins=arguments.bins,
        pictures=arguments.pictures,
        options=arguments.cfg_options,
    )
    print_audit(found)
    if arguments.out:
        print(write_audit(arguments.out, found, record))
    if arguments.plot:
        print(plot_audit(found, arguments.plot))


if __name__ == "__main__":
    run_command(main)
