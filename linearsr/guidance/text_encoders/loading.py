"""Models and tokenizers of the transformers library, from a folder: no network, nothing unpickled, nothing left at random."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from linearsr.core.errors import WeightsError
from linearsr.guidance.packages import require_package
from linearsr.guidance.text_encoders.architecture import Architecture
from linearsr.guidance.text_encoders.files import EncoderFiles

ALWAYS = {"transformers": "transformers", "tokenizers": "tokenizers"}
FOR_SENTENCEPIECE = {"sentencepiece": "sentencepiece", "google.protobuf": "protobuf"}
"""What is imported -> the package that brings it."""
SHOWN = 5
"""How many names an error shows."""


def require_packages(who: str, files: EncoderFiles) -> None:
    """Raises MissingExtraError for a package that loading these files will need; imports none."""
    for module, package in {**ALWAYS, **(FOR_SENTENCEPIECE if files.needs_sentencepiece else {})}.items():
        require_package(who, module, package)


def load_tokenizer(who: str, files: EncoderFiles) -> Any:
    """Raises WeightsError with the cause."""
    from transformers import AutoTokenizer

    try:
        with quiet():
            return AutoTokenizer.from_pretrained(files.tokenizer_folder, local_files_only=True, trust_remote_code=False)
    except Warning:  # where warnings are errors: no fault of the files
        raise
    except Exception as cause:  # the tokenizers library raises plain Exception for a file that it cannot parse
        raise _unreadable(who, "the tokenizer", files.tokenizer_folder, cause) from cause


def load_model(who: str, architecture: Architecture, files: EncoderFiles, dtype: torch.dtype, device: torch.device) -> Any:
    """The frozen model. Raises WeightsError for a damaged file and for weights that are missing or of another shape.

    Weights that the files hold beside (a decoder, the other tower, a head) are left alone.
    """
    import transformers

    for path in files.weights:
        if path.suffix == ".safetensors":
            _require_readable(who, path)
    try:
        with quiet():
            model, told = getattr(transformers, architecture.model).from_pretrained(
                files.folder,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                dtype=dtype,
                attn_implementation=architecture.attention,
                **architecture.options,
            )
    except (OSError, ValueError, RuntimeError, TypeError, KeyError, AttributeError, SafetensorError) as cause:
        raise _unreadable(who, architecture.model, files.folder, cause) from cause
    if lacking := sorted(told["missing_keys"]):
        rest = ", …" if len(lacking) > SHOWN else ""
        raise WeightsError(
            f"{who}: {len(lacking)} weights of {architecture.model} are missing in {files.folder.absolute()} "
            f"({', '.join(lacking[:SHOWN])}{rest}); they would be random. Wanted the files of one whole model"
        )
    return model.requires_grad_(False).eval().to(device)


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' progress bars and its table of weights that were left alone; restored at the end."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _require_readable(who: str, path: Path) -> None:
    """Header and length; a file cut short is found before anything is built."""
    try:
        with safe_open(path, framework="pt"):
            pass
    except (SafetensorError, OSError, ValueError) as cause:
        raise WeightsError(
            f"{who}: {path.absolute()} ({path.stat().st_size} bytes) cannot be read: {cause}; it is damaged or cut short. "
            "Nothing was downloaded: put the whole file there"
        ) from cause


def _unreadable(who: str, what: str, folder: Path, cause: Exception) -> WeightsError:
    first_line = (str(cause).strip().splitlines() or [""])[0]
    return WeightsError(
        f"{who}: {what} cannot be loaded from {folder.absolute()}: {type(cause).__name__}: {first_line}. Nothing was "
        "downloaded; wanted the files of one model, whole and as they were published"
    )
