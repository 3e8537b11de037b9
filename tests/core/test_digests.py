"""One digest of a file, that of the standard tool."""

import pytest

from linearsr.core.digests import sha256_of


def test_it_is_sha256_of_the_content_and_not_of_the_name(tmp_path):
    for name in ("a.bin", "b.bin"):
        (tmp_path / name).write_bytes(b"abc")
        # FIPS 180-2, appendix B.1
        assert sha256_of(tmp_path / name) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_file_that_cannot_be_read_is_the_systems_error(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        sha256_of(tmp_path / "nowhere")
