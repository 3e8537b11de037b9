"""A text for each picture, from a file beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmcv.transforms import BaseTransform

from linearsr.core.errors import ConfigError, DataError
from linearsr.core.registries import TRANSFORMS


@TRANSFORMS.register_module()
class ReadSidecarText(BaseTransform):
    """photo.png, photo.txt -> results[key]: what guidance is told of the picture, a caption or tags. Before LoadPictures.

    Only its name says to which picture a file belongs. UTF-8; white space at its ends is left out, line ends within it stay.
    An empty file is the text "".
    suffix:  takes the place of the picture's, ".caption.txt" if you like
    key:     of the sample; guidance is given "prompt"
    folder:  None: beside the HR picture, or the LR where there is no HR. A folder of texts: under the picture's name in the
             data set, which is its path below the set's root without the format
    default: the text of a picture that has no such file; None: that is a DataError
    """

    def __init__(self, suffix: str = ".txt", key: str = "prompt", folder: str | None = None, default: str | None = None):
        if not isinstance(suffix, str) or not suffix.startswith(".") or "/" in suffix:
            raise ConfigError(f"ReadSidecarText.suffix is {suffix!r}; wanted one that begins with a dot, such as '.txt'")
        if default is not None and not isinstance(default, str):
            raise ConfigError(f'ReadSidecarText.default is {default!r}; wanted a text, which may be "", or None')
        self.suffix, self.key, self.default = suffix, key, default
        self.folder = None if folder is None else Path(folder)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        file = self._file(results)
        if file.is_file():
            results[self.key] = _read(file)
        elif self.default is None:
            raise DataError(
                f"{results['name']} has no text: {file.absolute()} does not exist; write it, or set ReadSidecarText.default to "
                'what pictures without one are told, "" for nothing'
            )
        else:
            results[self.key] = self.default
        return results

    def _file(self, results: dict[str, Any]) -> Path:
        if self.folder is not None:
            return self.folder / f"{results['name']}{self.suffix}"
        picture = described_picture(results, type(self).__name__)
        if not isinstance(picture, str | Path):
            raise ConfigError(f"{picture} is no file of its own, so nothing lies beside it; set ReadSidecarText.folder")
        return Path(picture).with_suffix(self.suffix)


def described_picture(results: Mapping[str, Any], who: str) -> Any:
    """The HR picture's path, or the LR's where there is no HR. Raises ConfigError where they are gone; who: for the message."""
    for kind in ("hr_path", "lr_path"):
        if results.get(kind) is not None:
            return results[kind]
    raise ConfigError(f"{who} finds no picture's path: LoadPictures has used it up; move it to the front")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as cause:
        raise DataError(f"{file} cannot be read: {cause}; wanted UTF-8 text") from cause
