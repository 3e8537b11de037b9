"""Tags in files: a text beside each picture, or one table for all."""

from linearsr.core.tags.files import sidecar, write_tag_file
from linearsr.core.tags.table import TagRecord, TagTable, read_tag_table, write_tag_table

__all__ = ["TagRecord", "TagTable", "read_tag_table", "sidecar", "write_tag_file", "write_tag_table"]
