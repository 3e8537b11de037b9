"""What a training step of the sampling benchmark needs beside its weights: python tools/benchmarks/sampling_memory.py

No GPU, no weights: both models' steps are gone through on tensors that have a shape and no content, in the operations of a CPU.
"""

import argparse

from linearsr.core.command_line import run_command


def main() -> None:
    parser = argparse.ArgumentParser(description="Bytes of activations and gradients at the peak of a training step.")
    parser.add_argument("--tiny", action="store_true", help="the narrow model")
    arguments = parser.parse_args()

    import torch  # after the arguments: --help needs no torch
    from measuring import markdown_table
    from sampling_contenders import training_steps
    from sampling_runs import DTYPE
    from sampling_sizes import FULL, TINY
    from sana_pair import Pair

    from linearsr.core.planning.ledger import Ledger
    from linearsr.core.planning.shadows import Shadows

    models, _ = TINY if arguments.tiny else FULL
    shadows, rows = Shadows(), []
    for model in models:
        if not model.batches:
            continue
        with shadows:
            pair = Pair(model.config, model.depth, DTYPE, torch.device("cpu"))
        for batch in model.batches:
            with shadows:
                steps = training_steps(pair, model.side, batch)
                for name, own in (("diffusers", pair.theirs), ("ours", pair.ours)):
                    ledger = Ledger(own)
                    shadows.watch = ledger.note
                    steps[name]()()
                    shadows.watch = None
                    rows.append([model.name, str(batch), name, f"{ledger.memory.peak / 1e9:.3g}"])
    print(markdown_table(["model", "pictures", "", "GB"], rows))


if __name__ == "__main__":
    run_command(main)
