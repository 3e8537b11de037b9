"""Picture files of every kind come in as RGB in 0..1; bad ones are named."""

import os
import struct
from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from linearsr.core.data import images
from linearsr.core.data.images import FORMATS, from_uint8, image_size, list_images, read_image, to_uint8, write_image
from linearsr.core.errors import DataError, ShapeError, UnreadableError

LOSSLESS = [suffix for suffix, name in FORMATS.items() if name != "JPEG"]


def random_picture(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def smooth_picture() -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.linspace(0, 1, 32), torch.linspace(0, 1, 40), indexing="ij")
    return torch.stack([rows, columns, (rows + columns) / 2])


@pytest.mark.parametrize("suffix", LOSSLESS)
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (1, 9)])
def test_a_lossless_file_gives_back_the_8_bit_picture(tmp_path, suffix, size):
    picture = random_picture(*size)
    write_image(tmp_path / f"a{suffix}", picture)
    back = read_image(tmp_path / f"a{suffix}")
    assert back.dtype == torch.float32
    assert torch.equal(back, from_uint8(to_uint8(picture)))


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPG"])
def test_jpeg_is_written_without_visible_loss(tmp_path, suffix):
    write_image(tmp_path / f"a{suffix}", smooth_picture())
    back = read_image(tmp_path / f"a{suffix}")
    # quality 95 without chroma subsampling: at most a few of 255 levels on a gradient
    assert (back - smooth_picture()).abs().max() < 4 / 255
    with Image.open(tmp_path / f"a{suffix}") as file:
        assert file.format == "JPEG"


@given(levels=arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3))))
def test_png_keeps_every_level(tmp_path_factory, levels):
    path = tmp_path_factory.mktemp("png") / "a.png"
    picture = from_uint8(torch.from_numpy(levels).permute(2, 0, 1))
    write_image(path, picture)
    assert torch.equal(read_image(path), picture)


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P", "CMYK", "YCbCr", "LAB"])
def test_opaque_modes_read_as_pillow_converts_them_to_rgb(tmp_path, mode):
    levels = to_uint8(smooth_picture()).permute(1, 2, 0).numpy()
    source = Image.fromarray(levels).convert(mode) if mode != "LAB" else Image.new("LAB", (4, 3), (120, 130, 140))
    path = tmp_path / f"a{'.png' if mode in ('1', 'L', 'RGB', 'P') else '.tiff'}"
    source.save(path)
    with Image.open(path) as file:
        assert file.mode == mode
        want = torch.from_numpy(np.array(file.convert("RGB"))).permute(2, 0, 1)
    assert torch.equal(read_image(path), from_uint8(want))


def test_a_cmyk_jpeg_reads_as_rgb(tmp_path):
    Image.new("CMYK", (8, 6), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=95)
    red, green, blue = read_image(tmp_path / "a.jpg").mean((1, 2)).tolist()
    assert red > 0.95  # cyan 0, magenta and yellow full: red
    assert max(green, blue) < 0.05


def test_transparency_is_laid_over_white(tmp_path):
    rgba = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 51]]], dtype=np.uint8)
    Image.fromarray(rgba).save(tmp_path / "rgba.png")
    got = read_image(tmp_path / "rgba.png")[:, 0].T
    # 51/255 = 0.2 of black over white is 0.8
    torch.testing.assert_close(got, torch.tensor([[1.0, 0, 0], [1, 1, 1], [0.8, 0.8, 0.8]]))
    grey = np.array([[[100, 255], [100, 0]]], dtype=np.uint8)
    Image.fromarray(grey).save(tmp_path / "la.png")
    torch.testing.assert_close(read_image(tmp_path / "la.png")[0, 0], torch.tensor([100 / 255, 1.0]))


def test_a_palette_with_a_transparent_colour_is_laid_over_white(tmp_path):
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.putpixel((1, 0), 1)
    picture.save(tmp_path / "a.png", transparency=0)
    want = from_uint8(torch.tensor([[255, 40], [255, 50], [255, 60]]))
    torch.testing.assert_close(read_image(tmp_path / "a.png")[:, 0], want)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bit_grey_keeps_its_levels(tmp_path, suffix):
    levels = np.array([[0, 1, 256, 257], [1000, 40000, 65534, 65535]], dtype=np.uint16)
    Image.fromarray(levels).save(tmp_path / f"a{suffix}")
    got = read_image(tmp_path / f"a{suffix}")
    assert got.shape == (3, 2, 4)
    # float32 holds 24 bits, so the 16-bit level comes back exactly
    assert np.array_equal((got[1].double() * 65535).round().numpy(), levels)


@pytest.mark.parametrize("levels", [[[0, 70000]], [[-1, 5]]])
def test_32_bit_pixels_of_an_unknown_range_are_refused(tmp_path, levels):
    Image.fromarray(np.array(levels, dtype=np.int32)).save(tmp_path / "a.tiff")
    with pytest.raises(DataError, match=r"a\.tiff.*wanted 0\.\.65535"):
        read_image(tmp_path / "a.tiff")


def test_float_pictures_are_taken_as_0_to_1_and_refused_beyond(tmp_path):
    values = np.array([[0, 0.123, 1]], dtype=np.float32)
    Image.fromarray(values).save(tmp_path / "a.tiff")
    assert np.array_equal(read_image(tmp_path / "a.tiff")[2].numpy(), values)
    for wrong in (values * 255, values * np.nan):
        Image.fromarray(wrong).save(tmp_path / "b.tiff")
        with pytest.raises(DataError, match=r"wanted 0\.\.1"):
            read_image(tmp_path / "b.tiff")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_from_a_camera_is_upright(tmp_path, orientation):
    levels = np.arange(2 * 3, dtype=np.uint8).reshape(2, 3) * 40
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(levels).save(tmp_path / "a.png", exif=exif)
    upright = {
        1: levels,
        2: levels[:, ::-1],
        3: levels[::-1, ::-1],
        4: levels[::-1],
        5: levels.T,
        6: np.rot90(levels, -1),
        7: levels[::-1, ::-1].T,
        8: np.rot90(levels),
    }[orientation]
    assert np.array_equal(to_uint8(read_image(tmp_path / "a.png"))[0].numpy(), upright)


def test_bad_files_are_named(tmp_path):
    text = tmp_path / "text.png"
    text.write_text("not a picture")
    with pytest.raises(DataError, match=r"text\.png is not a picture.*, of PNG, JPEG"):
        read_image(text)
    empty = tmp_path / "empty.png"
    empty.touch()
    with pytest.raises(DataError, match=r"empty\.png"):
        read_image(empty)
    with pytest.raises(DataError, match=r"gone\.png: no such file"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(DataError, match="cannot be read"):
        read_image(tmp_path)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")  # Pillow's, before it fails on a TIFF
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff", ".bmp"])
def test_a_file_cut_short_is_named_and_never_half_read(tmp_path, suffix):
    whole = tmp_path / f"whole{suffix}"
    write_image(whole, random_picture(64, 64))
    for share in (0.3, 0.7):
        cut = tmp_path / f"cut{suffix}"
        cut.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
        with pytest.raises(DataError, match=f"cut{suffix}"):
            read_image(cut)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, on what it can skip
@given(suffix=st.sampled_from([".png", ".jpg", ".webp", ".bmp"]), data=st.data())
def test_a_damaged_file_is_read_or_is_a_data_error_and_nothing_else(tmp_path_factory, suffix, data):
    path = tmp_path_factory.mktemp("damaged") / f"a{suffix}"
    write_image(path, random_picture(6, 6))
    content = bytearray(path.read_bytes())
    for place, byte in data.draw(st.dictionaries(st.integers(0, len(content) - 1), st.integers(0, 255), min_size=1)).items():
        content[place] = byte
    path.write_bytes(content)
    with suppress(DataError):
        assert read_image(path).isfinite().all()


def test_a_picture_of_too_many_pixels_is_a_data_error(tmp_path, monkeypatch):
    write_image(tmp_path / "a.png", random_picture(20, 20))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow refuses twice that
    with pytest.raises(DataError, match=r"a\.png"):
        read_image(tmp_path / "a.png")


def test_an_unknown_suffix_lists_the_known_ones(tmp_path):
    with pytest.raises(DataError, match=r"'\.gif'.*\.png, \.jpg"):
        write_image(tmp_path / "a.gif", random_picture(4, 4))


@pytest.mark.parametrize("bad", [torch.rand(1, 4, 4), torch.rand(1, 3, 4, 4), torch.ones(3, 4, 4, dtype=torch.uint8)])
def test_only_float_rgb_is_written(tmp_path, bad):
    with pytest.raises(ShapeError, match=r"wanted a float \[3, H, W\]"):
        write_image(tmp_path / "a.png", bad)


def test_a_picture_with_nan_is_not_written_and_the_old_file_stays(tmp_path):
    path = tmp_path / "a.png"
    write_image(path, random_picture(4, 4))
    before = path.read_bytes()
    broken = random_picture(4, 4, seed=1)
    broken[0, 1, 2] = torch.nan
    with pytest.raises(DataError, match=r"1 of 48 values"):
        write_image(path, broken)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.png"]


def test_an_error_while_encoding_leaves_nothing_behind(tmp_path, monkeypatch):
    def half(self, file, **options):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(images.Image.Image, "save", half)
    with pytest.raises(OSError, match="disk full"):
        write_image(tmp_path / "new" / "a.png", random_picture(4, 4))
    assert os.listdir(tmp_path / "new") == []


def test_lists_pictures_in_natural_order_without_hidden_and_other_files(tmp_path):
    for name in ("img10.png", "img2.png", "Img1.JPG", "a.webp", "10.tif", "9.bmp", "._img2.png", "notes.txt", "sub/x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    names = ["9.bmp", "10.tif", "a.webp", "Img1.JPG", "img2.png", "img10.png"]
    assert [path.name for path in list_images(tmp_path)] == names
    found = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path, recursive=True)]
    assert found == [*names, "sub/x.png"]


def test_a_folder_without_pictures_is_named(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=f"{tmp_path.name} holds no picture"):
        list_images(tmp_path)
    with pytest.raises(DataError, match="gone is missing"):
        list_images(tmp_path / "gone")
    with pytest.raises(DataError, match=r"notes\.txt is not a folder"):
        list_images(tmp_path / "notes.txt")


@pytest.mark.parametrize("orientation", [1, 6, 8])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff"])
def test_the_size_from_the_header_is_that_of_the_picture(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"p{suffix}"
    Image.new("RGB", (7, 5)).save(path, exif=exif)
    assert image_size(path) == tuple(read_image(path).shape[1:])
    with pytest.raises(DataError, match="no such file"):
        image_size(tmp_path / "none.jpg")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff", ".bmp"])
def test_the_size_needs_no_pixels(tmp_path, suffix, monkeypatch):
    """Decoding a large set at the start would take an hour."""
    write_image(tmp_path / f"a{suffix}", random_picture(8, 9))
    monkeypatch.setattr(images.Image.Image, "load", None)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)
    assert image_size(tmp_path / f"a{suffix}") == (8, 9)


@pytest.mark.parametrize(("tag", "kind"), [(0x100, 2), (0x11A, 2), (0x132, 5), (0x132, 3)])
def test_a_camera_that_writes_nonsense_still_turns_its_picture(tmp_path, tag, kind):
    """Width and resolution as text, a date as a fraction or a number: what is not needed is neither read nor written."""
    entries = {0x112: struct.pack("<HHII", 0x112, 3, 1, 6), tag: struct.pack("<HHII", tag, kind, 4 if kind == 2 else 1, 8)}
    tiff = b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries[key] for key in sorted(entries)) + bytes(4)
    Image.new("RGB", (24, 16)).save(tmp_path / "a.jpg", exif=b"Exif\0\0" + tiff)
    assert read_image(tmp_path / "a.jpg").shape == (3, 24, 16)
    assert image_size(tmp_path / "a.jpg") == (24, 16)


def test_whatever_a_reader_raises_is_said_of_the_file(tmp_path, monkeypatch):
    write_image(tmp_path / "a.png", random_picture(4, 4))

    def broken(file):
        raise struct.error("unpack requires a buffer of 4 bytes")

    monkeypatch.setattr(images, "rgb_01", broken)
    with pytest.raises(UnreadableError, match=r"a\.png cannot be read as a picture: unpack requires"):
        read_image(tmp_path / "a.png")
