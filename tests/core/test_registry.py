"""The registry: names, keys, offers and the errors that help."""

import subprocess
import sys

import pytest
from torch import nn

from linearsr.core.errors import ConfigError, UnknownComponentError
from linearsr.core.registries import ALL, ATTENTION, BY_KEY, HOOKS, SOLVERS
from linearsr.core.signatures import accepted_keys


def test_importing_linearsr_imports_nothing_heavy() -> None:
    code = "import linearsr, sys; print([m for m in ('torch', 'cv2', 'mmengine') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_a_misspelt_type_names_the_nearest_and_all_known() -> None:
    with pytest.raises(UnknownComponentError) as caught:
        ATTENTION.build({"type": "ReluLinearAttn"})
    text = str(caught.value)
    assert text.startswith("no attention named 'ReluLinearAttn'; did you mean 'ReLULinearAttention'? Known: ")
    assert "SoftmaxAttention" in text


def test_get_of_an_unknown_name_is_none() -> None:
    assert ATTENTION.get("Nobody") is None
    assert "Nobody" not in ATTENTION


def test_build_does_not_change_its_config() -> None:
    cfg = {"type": "SoftmaxAttention"}
    ATTENTION.build(cfg, dim=8, num_heads=2)
    assert cfg == {"type": "SoftmaxAttention"}


def test_a_misspelt_key_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="has no key 'qk_nrom'; did you mean 'qk_norm'"):
        ATTENTION.build({"type": "ReLULinearAttention", "qk_nrom": True}, dim=8, num_heads=2)


def test_a_key_that_contradicts_the_model_is_refused_and_one_that_agrees_is_not() -> None:
    with pytest.raises(ConfigError, match="`dim` is set by the model: 96; the config says 64"):
        ATTENTION.build({"type": "SoftmaxAttention", "dim": 64}, dim=96, num_heads=3)
    assert ATTENTION.build({"type": "SoftmaxAttention", "dim": 96}, dim=96, num_heads=3) is not None


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match="SoftmaxAttention needs 'num_heads'"):
        ATTENTION.build({"type": "SoftmaxAttention"}, dim=96)


@pytest.mark.parametrize("cfg", [None, "ReLULinearAttention", {"rank": 1}, {"type": 3}])
def test_what_describes_no_component_is_refused(cfg: object) -> None:
    with pytest.raises(ConfigError):
        ATTENTION.build(cfg)  # type: ignore[arg-type]


def test_a_class_with_open_keys_is_followed_to_its_base() -> None:
    class Base:
        def __init__(self, width: int, depth: int = 1): ...

    class Child(Base):
        def __init__(self, extra: int = 0, **rest: int):
            super().__init__(**rest)

    keys = accepted_keys(Child)
    assert (set(keys.names), keys.required, keys.open) == ({"extra", "width", "depth"}, ("width",), False)


def test_the_kwargs_of_torchs_module_lead_nowhere() -> None:
    class Layer(nn.Module):
        def __init__(self, dim: int, **rest: int):
            super().__init__(**rest)

    class Bare(nn.Module):
        pass

    assert (accepted_keys(Layer).names, accepted_keys(Layer).open) == (("dim",), False)
    assert (accepted_keys(Bare).names, accepted_keys(Bare).open) == ((), False)


def test_a_component_without_the_methods_of_its_kind_is_refused_when_it_is_built() -> None:
    with pytest.raises(ConfigError, match=r"builtins\.dict is no solver: it lacks solve"):
        SOLVERS.build({"type": "builtins.dict"})


class Picky:
    def __init__(self, dim: int):
        self.half = dim // 2


def test_a_value_that_a_component_cannot_use_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"Picky cannot be built from .*: TypeError"):
        ATTENTION.build({"type": f"{__name__}.Picky"}, dim="abc")


def test_mmengine_components_are_found_in_our_registry_of_their_kind() -> None:
    assert HOOKS.require("EarlyStoppingHook").__module__.startswith("mmengine")


def test_every_config_key_belongs_to_one_registry() -> None:
    keys = [key for registry in ALL for key in registry.keys]
    assert len(keys) == len(set(keys)) == len(BY_KEY)


@pytest.mark.parametrize("registry", ALL, ids=lambda registry: registry.name)
def test_every_component_of_ours_says_in_one_line_what_it_is(registry) -> None:
    for name, component in registry.own().items():
        line = (component.__doc__ or "").strip().partition("\n")[0]
        assert line.endswith((".", ")")), f"{registry.name} {name}: {line!r}"
        assert component.__name__ == name
