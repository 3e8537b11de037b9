"""1024² becomes 4096² within the memory that was planned, measured from outside torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from linearsr.core.models import build_model
from tests.core.autoencoders.small_networks import write_taesd
from tests.shipped import ROOT

RUN = """
import json, sys, time, torch
from linearsr.core.allocator import keep_freed_memory
from linearsr.core.models import build_model
from linearsr.core.models.planned_tiles import Unplanned
keep_freed_memory()  # as every script of tools/
model, side = build_model(json.loads(sys.argv[1])).eval(), int(sys.argv[2])
def mib(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key)) / 1024
torch.manual_seed(0)
with torch.no_grad():
    model.denoiser.head.weight.add_(0.01)
lr = torch.rand(1, 3, side, side)
def measured():
    before, start = mib("VmRSS"), time.perf_counter()
    open("/proc/self/clear_refs", "w").write("5")
    out = model.restore(lr, 2, [0])
    return out, dict(grown=mib("VmHWM") - before, seconds=time.perf_counter() - start)
start = time.perf_counter()
tiles = model.planned_tiles(lr, 2)  # planned before it is measured
planning = time.perf_counter() - start
out, within = measured()
model.memory = Unplanned()
whole, without = measured()
same = dict(difference=(out - whole).abs().max().item(), spread=out.std().item(), shape=out.shape)
print(json.dumps(dict(tiles=str(tiles), planning=planning, within=within, without=without, **same)))
"""


def described(autoencoder, **more):
    stem = {"type": "ConvStem", "width": 16, "depth": 2}
    denoiser = {
        "type": "LinearDiT", "depth": 2, "width": 64, "head_width": 32, "attention": {"type": "ReLULinearAttention"},
        "feed_forward": {"type": "GatedConvFeedForward", "ratio": 2.0}, "lr_stem": stem,
    }  # fmt: skip
    parts = {"path": "RectifiedFlow", "time_sampler": "UniformTimes", "time_grid": "UniformGrid", "solver": "Euler"}
    chosen = {key: {"type": name} for key, name in parts.items()}
    return {"type": "LinearSR", "upscale": 4, "autoencoder": autoencoder, "denoiser": denoiser} | chosen | more


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of the resident set is Linux's")
@pytest.mark.parametrize(
    ("kind", "gib", "tiles"),
    [
        ("residual", 2.0, "the denoiser in tiles of 512 tokens, decoding whole"),
        ("taesd", 1.4, "the denoiser whole, decoding in tiles of 2048 pixels"),
    ],
)
def test_a_picture_of_4096_is_restored_within_the_planned_memory_as_it_is_whole(kind, gib, tiles, tmp_path):
    """-s shows the figures of docs/large_pictures.md."""
    taesd = {"type": "TinyAutoencoder", **write_taesd(tmp_path, channels=8, width=16)}
    model = described({"type": "ResidualPixelShuffle"} if kind == "residual" else taesd, memory_gib=gib)
    assert build_model(model)
    done = subprocess.run([sys.executable, "-c", RUN, json.dumps(model), "1024"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout)
    assert got["shape"] == [1, 3, 4096, 4096]
    assert got["tiles"] == tiles
    print(kind, gib, got)
    assert got["within"]["grown"] < gib * 1024 < got["without"]["grown"]
    assert got["difference"] < 1e-5
    assert got["spread"] > 0.01  # of a picture that could differ
