"""A text for each picture, out of a table of tags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmcv.transforms import BaseTransform

from linearsr.core.data.sidecar_text import described_picture
from linearsr.core.errors import ConfigError, DataError
from linearsr.core.registries import TRANSFORMS
from linearsr.core.tags import read_tag_table


@TRANSFORMS.register_module()
class ReadTagTable(BaseTransform):
    """results["prompt"] = "tabby, sofa": a picture's tags in a table such as tools/tag.py writes. Before LoadPictures.

    With `TagGuidance(prompts_replace_tags=True)` they are the picture's tags, and no tagger is asked.

    file:    JSON lines, see `read_tag_table`; names are those of the data set. A line with a hash is for that very picture, HR
             or, where there is no HR, LR: another one of its name is a DataError. Each is looked at once in a process
    default: the text of a picture that has no line; None: that is a DataError
    Raises DataError for a table that cannot be read.
    """

    def __init__(self, file: str, default: str | None = None):
        if default is not None and not isinstance(default, str):
            raise ConfigError(f'ReadTagTable.default is {default!r}; wanted a text, which may be "", or None')
        self.table, self.default = read_tag_table(file), default
        self._seen: set[str] = set()

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        name = results["name"]
        if self.default is not None and name not in self.table.records:
            return results | {"prompt": self.default}
        record = self.table.records.get(name)
        picture = None if name in self._seen or record is None or record.sha256 is None else _file(results)
        tags = self.table.tags_of(name, picture)
        self._seen.add(name)
        return results | {"prompt": ", ".join(tag.name for tag in tags)}


def _file(results: dict[str, Any]) -> Path:
    picture = described_picture(results, ReadTagTable.__name__)
    if not isinstance(picture, str | Path):
        raise DataError(f"{picture} is no file of its own, whose hash could be compared; take the hashes out of the table")
    return Path(picture)
