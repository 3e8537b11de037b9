"""Identity: what changes the tags changes it, where the files lie does not."""

import os

from linearsr.guidance.taggers.identity import file_digest, identity_of


def test_options_and_content_are_in_it_and_the_place_is_not(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    one, copy, other = tmp_path / "a.bin", tmp_path / "elsewhere" / "b.bin", tmp_path / "c.bin"
    one.write_bytes(b"weights")
    copy.write_bytes(b"weights")
    other.write_bytes(b"weightz")
    assert identity_of("T", {"x": 1}, [one]) == identity_of("T", {"x": 1}, [copy])
    different = [("T", {"x": 1}, [other]), ("T", {"x": 2}, [one]), ("U", {"x": 1}, [one]), ("T", {"x": 1}, [])]
    assert len({identity_of(*case) for case in [("T", {"x": 1}, [one]), *different]}) == 5


def test_a_file_that_changes_is_read_again(tmp_path):
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    before = file_digest(file)
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))  # a clock may be too coarse to tell the two apart
    assert file_digest(file) != before


def test_a_value_that_is_too_long_to_show_counts_as_a_whole():
    names = [f"tag {i}" for i in range(5000)]
    one, other = (identity_of("T", {"tags": tags}) for tags in (names, [*names[:-1], "another"]))
    assert one != other
    assert len(one) < 120
