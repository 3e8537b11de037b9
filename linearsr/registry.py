"""mmengine imports `<scope>.registry` by this name when a config says default_scope="linearsr"."""

from linearsr.core.registries import *  # noqa: F403
