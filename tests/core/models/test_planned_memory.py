"""What a picture was planned to take is what it takes: rehearsed, then measured."""

import pytest

from linearsr.core.costs import peak_bytes
from linearsr.core.models.memory_planner import GIB, SAFE, MemoryPlanner, rehearsal_of
from linearsr.core.planning.tiles import Choice, Tiles
from linearsr.core.planning.weights import weight_bytes
from tests.core.models.models_in_tiles import STEPS, given_words, models_in, picture, restored


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return models_in(tmp_path_factory.mktemp("taesd"))


def needs(model, lr=None):
    """Tiles -> the least limit in bytes, of every tile that can be tried."""
    lr = picture() if lr is None else lr
    size = tuple(lr.shape[-2:])
    choice, rehearse = Choice.of(model, size), rehearsal_of(model, lr, size, STEPS, given_words(model))
    tried = [Tiles(side, pieces) for side in choice.denoiser for pieces in choice.autoencoder]
    return {tiles: rehearse(tiles).total / SAFE + weight_bytes(model) + lr.nbytes for tiles in tried}


@pytest.mark.parametrize("name", ["plain", "taesd"])
@pytest.mark.parametrize("share", [1.0, 0.0])
def test_what_is_measured_is_within_the_limit_and_most_of_it(models, name, share):
    """share: of the way from the smallest limit to the whole picture's."""
    model, lr = models[name], picture(size=(48, 48))
    foreseen = needs(model, lr)
    least, most = min(foreseen.values()), foreseen[Tiles()]
    limit = least + share * (most - least)
    planner = MemoryPlanner((limit + 1) / GIB)
    planner.begin(model, lr, STEPS, None)  # rehearsed before it is measured
    room = limit - weight_bytes(model) - lr.nbytes
    assert SAFE**2 * room < peak_bytes(lambda: restored(model, lr, planner)) < room  # 15 % either way: docs/inspect.md
