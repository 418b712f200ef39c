"""Decoding of untrusted bytes: every format, every orientation, and every way for a file to be broken."""

import io
import os
import random
import resource
import struct
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from retrieval.errors import ImageError
from retrieval.images import SUFFIXES, decode, decode_file

CORNERS = {(0, 0): (255, 0, 0), (1, 0): (0, 255, 0), (0, 1): (0, 0, 255), (1, 1): (255, 255, 0)}


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    if kind == "HEIF":
        pillow_heif.register_heif_opener()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def corners(width: int = 96, height: int = 64) -> Image.Image:
    """Red, green / blue, yellow quarters: no two of the eight orientations look the same."""
    image = Image.new("RGB", (width, height))
    for (x, y), colour in CORNERS.items():
        image.paste(colour, (x * width // 2, y * height // 2, (x + 1) * width // 2, (y + 1) * height // 2))
    return image


def corner_colours(image: Image.Image) -> list[tuple[int, ...]]:
    """The four quarters' middle pixels, each channel rounded to 0 or 255."""
    w, h = image.size
    points = [(w // 4, h // 4), (3 * w // 4, h // 4), (w // 4, 3 * h // 4), (3 * w // 4, 3 * h // 4)]
    return [tuple(255 * (channel > 127) for channel in image.getpixel(point)) for point in points]


UPRIGHT = list(CORNERS.values())

# What a camera stores: the inverse of the turn that the tag asks for.
STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def with_orientation(kind: str, orientation: int, size: tuple[int, int] = (96, 64)) -> bytes:
    upright = corners(*size)
    turn = STORED_AS[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(upright if turn is None else upright.transpose(turn), kind, exif=exif.tobytes())


@pytest.mark.parametrize("target", [None, 16], ids=["full", "target16"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_of_a_jpeg_stands_upright(orientation: int, target: int | None) -> None:
    picture = decode(with_orientation("JPEG", orientation, (192, 128)), target=target)
    assert corner_colours(picture.image) == UPRIGHT
    assert (picture.width, picture.height) == (192, 128)
    assert picture.image.size == ((192, 128) if target is None else (48, 32))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "HEIF", "AVIF"])
def test_every_orientation_of_the_other_formats(kind: str, orientation: int) -> None:
    picture = decode(with_orientation(kind, orientation))
    assert corner_colours(picture.image) == UPRIGHT
    assert (picture.width, picture.height) == picture.image.size == (96, 64)


def test_the_result_claims_no_orientation_of_its_own() -> None:
    assert 0x0112 not in decode(with_orientation("JPEG", 6)).image.getexif()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "HEIF", "AVIF"])
def test_every_format(kind: str) -> None:
    picture = decode(saved(corners(), kind))
    assert picture.image.mode == "RGB"
    assert corner_colours(picture.image) == UPRIGHT


def test_heif_needs_no_preparation_by_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(corners(), "HEIF")
    monkeypatch.delitem(Image.OPEN, "HEIF")
    assert corner_colours(decode(data).image) == UPRIGHT


def test_an_mpo_gives_its_first_picture() -> None:
    data = saved(corners(), "MPO", save_all=True, append_images=[Image.new("RGB", (96, 64))])
    assert corner_colours(decode(data, target=8).image) == UPRIGHT


@pytest.mark.parametrize(
    ("side", "target", "expected"),
    [(1024, 64, 128), (592, 64, 74), (591, 64, 148), (148, 64, 74), (147, 64, 147), (64, 64, 64), (4096, 64, 512)],
)
def test_a_jpeg_shrinks_to_no_less_than_the_target_and_a_margin(side: int, target: int, expected: int) -> None:
    picture = decode(saved(Image.new("RGB", (side, side)), "JPEG"), target=target)
    assert picture.image.size == (expected, expected)
    assert (picture.width, picture.height) == (side, side)


def test_the_shorter_side_decides_how_far_a_jpeg_shrinks() -> None:
    assert decode(saved(Image.new("RGB", (4000, 300)), "JPEG"), target=64).image.size == (1000, 75)


@pytest.mark.parametrize("over", range(8))
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_shrunk_jpeg_keeps_no_column_or_row_that_is_mostly_filling(over: int, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.new("RGB", (640 + over, 640)), "JPEG", exif=exif.tobytes())
    picture = decode(data, target=64)
    size, original = (80 + round(over / 8), 80), (640 + over, 640)
    assert picture.image.size == (size if orientation == 1 else size[::-1])
    assert (picture.width, picture.height) == (original if orientation == 1 else original[::-1])


@pytest.mark.parametrize("over", [0, 1, 3, 5])
def test_a_shrunk_jpeg_looks_like_the_whole_one(over: int) -> None:
    """Within 2 of 255 after resizing; with their filling those of 1 or 5 pixels over differ by more than 4."""
    y, x = np.mgrid[0 : 896 + over, 0 : 896 + over]
    waves = np.stack([np.sin(x / 30), np.sin(y / 30), np.sin((x + y) / 42)], axis=-1)
    data = saved(Image.fromarray((127 + 120 * waves).astype(np.uint8)), "JPEG", quality=90)
    small, whole = (
        np.asarray(decode(data, target=target).image.resize((190, 190), Image.Resampling.BICUBIC), dtype=np.int16)
        for target in (190, None)
    )
    assert np.abs(small - whole).mean() < 2


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_gives_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "lime", "blue")]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)
    red, green, blue = decode(data).image.getpixel((10, 10))
    assert red > 240
    assert max(green, blue) < 15


def test_alpha_lies_on_white() -> None:
    image = Image.new("RGBA", (3, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (255, 0, 0, 0))
    image.putpixel((2, 0), (0, 0, 0, 128))
    result = decode(saved(image, "PNG")).image
    assert [result.getpixel((x, 0)) for x in range(3)] == [(255, 0, 0), (255, 255, 255), (127, 127, 127)]


def test_grey_with_alpha_lies_on_white() -> None:
    result = decode(saved(Image.new("LA", (2, 2), (10, 0)), "PNG")).image
    assert result.getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_palette_transparency_lies_on_white(kind: str) -> None:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([10, 20, 30, 200, 0, 0])
    image.putpixel((1, 0), 1)
    result = decode(saved(image, kind, transparency=0)).image
    assert [result.getpixel((x, 0)) for x in range(2)] == [(255, 255, 255), (200, 0, 0)]


def test_palette_with_an_alpha_per_colour_lies_on_white() -> None:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([0, 0, 0, 200, 0, 0])
    image.putpixel((1, 0), 1)
    result = decode(saved(image, "PNG", transparency=bytes([128, 255]))).image
    assert [result.getpixel((x, 0)) for x in range(2)] == [(127, 127, 127), (200, 0, 0)]


def test_a_colour_key_lies_on_white() -> None:
    image = Image.new("RGB", (2, 1), (1, 2, 3))
    image.putpixel((1, 0), (9, 9, 9))
    result = decode(saved(image, "PNG", transparency=(1, 2, 3))).image
    assert [result.getpixel((x, 0)) for x in range(2)] == [(255, 255, 255), (9, 9, 9)]


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind: str) -> None:
    """Pillow writes CMYK JPEGs as Adobe does, inverted; reading them the other way round would give black."""
    image = Image.new("CMYK", (32, 32), (0, 255, 255, 0))
    red, green, blue = decode(saved(image, kind)).image.getpixel((16, 16))
    assert red > 240
    assert max(green, blue) < 15


def deep(values: list[float], dtype: str, kind: str) -> list[int]:
    """Save a row of grey values in a deep type, decode it, and give back the red channel."""
    image = Image.fromarray(np.array([values], dtype=dtype))
    result = decode(saved(image, kind)).image
    assert result.mode == "RGB"
    return [result.getpixel((x, 0))[0] for x in range(len(values))]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_and_not_clipped(kind: str) -> None:
    assert deep([0, 257, 32768, 65535], "uint16", kind) == [0, 1, 128, 255]


def test_a_dark_16_bit_picture_stays_dark() -> None:
    assert deep([0, 255], "uint16", "PNG") == [0, 1]


def test_big_endian_16_bit_tiff() -> None:
    row = np.array([[0, 32768, 65535]], dtype=">u2")
    entries = [
        (256, 3, 1, 3),
        (257, 3, 1, 1),
        (258, 3, 1, 16),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (277, 3, 1, 1),
        (278, 3, 1, 1),
        (279, 4, 1, row.nbytes),
    ]
    directory = b"".join(
        struct.pack(">HHI", tag, type_, count) + (struct.pack(">HH" if type_ == 3 else ">I", *v))
        for tag, type_, count, value in entries
        for v in [(value, 0) if type_ == 3 else (value,)]
    )
    data = b"MM\0*" + struct.pack(">I", 8 + row.nbytes) + row.tobytes()
    data += struct.pack(">H", len(entries)) + directory + b"\0\0\0\0"
    result = decode(data).image
    assert [result.getpixel((x, 0))[0] for x in range(3)] == [0, 128, 255]


def test_32_bit_integers() -> None:
    assert deep([0, 32768, 65535], "int32", "TIFF") == [0, 128, 255]
    assert deep([-1_000_000, 0, 1_000_000], "int32", "TIFF") == [0, 128, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 128.0, 255.0], [0, 128, 255]),
        ([0.0, 32768.0, 65535.0], [0, 128, 255]),
        ([-10.0, 0.0, 10.0], [0, 128, 255]),
        ([-5.0, -5.0, -5.0], [0, 0, 0]),
        ([float("nan"), 1.0, float("inf")], [0, 255, 0]),
        ([-3.4e38, 0.0, 3.4e38], [0, 128, 255]),
    ],
    ids=["unit", "byte", "word", "signed", "constant", "not-a-number", "extremes"],
)
def test_float_tiff(values: list[float], expected: list[int]) -> None:
    assert deep(values, "float32", "TIFF") == expected


def test_one_bit_and_one_pixel() -> None:
    assert decode(saved(Image.new("1", (1, 1), 1), "PNG"), target=224).image.getpixel((0, 0)) == (
        255,
        255,
        255,
    )


@pytest.mark.parametrize("size", [(1, 30000), (30000, 1)])
def test_extremely_elongated(size: tuple[int, int]) -> None:
    picture = decode(saved(Image.new("RGB", size, "red"), "JPEG"), target=224)
    assert picture.image.size == size == (picture.width, picture.height)


# --- what is refused ---


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))


def bomb(side: int = 22_400) -> bytes:
    """A black one-bit PNG: some 60 kB on disk, one byte for each pixel (500 MB) once Pillow unpacks it."""
    packer = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    packed = b"".join([packer.compress(row) for _ in range(side)]) + packer.flush()
    return png_header(side, side) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def test_a_small_file_that_unpacks_to_500_megabytes_costs_nothing() -> None:
    data = bomb()
    assert 20_000 < len(data) < 70_000
    peak, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    with pytest.raises(ImageError, match=r"^unpacks to 501\.8 megapixels; the cap is 40; raise it with --max-pixels$"):
        decode(data)
    assert time.perf_counter() - started < 0.3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 20_000  # KiB


def test_the_cap_holds_in_every_thread_and_can_be_raised() -> None:
    data = saved(Image.new("RGB", (100, 100)), "PNG")
    refused = []

    def worker(cap: int) -> None:
        for _ in range(50):
            try:
                decode(data, max_pixels=cap)
            except ImageError:
                refused.append(cap)

    threads = [threading.Thread(target=worker, args=(cap,)) for cap in (9_999, 10_000, 9_999, 10_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == [9_999] * 100


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "HEIF", "AVIF"])
def test_the_cap_holds_for_every_format(kind: str) -> None:
    with pytest.raises(ImageError, match=r"the cap is 0\.1"):
        decode(saved(corners(), kind), max_pixels=6_000)


def test_a_wide_animated_webp_is_refused_from_its_header() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    data = bytearray(saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    canvas = data.index(b"VP8X") + 12
    data[canvas : canvas + 6] = (16_382).to_bytes(3, "little") * 2
    with pytest.raises(ImageError, match=r"unpacks to 268\.5 megapixels"):
        decode(bytes(data))


@pytest.mark.parametrize("kept", [0.3, 0.9])
@pytest.mark.parametrize("target", [None, 16], ids=["full", "target16"])
def test_a_truncated_jpeg_is_refused(kept: float, target: int | None) -> None:
    data = saved(photo(256), "JPEG")
    with pytest.raises(ImageError, match=r"^truncated JPEG$"):
        decode(data[: int(len(data) * kept)], target=target)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "BMP", "TIFF", "HEIF", "AVIF"])
def test_a_truncated_file_is_refused(kind: str) -> None:
    data = saved(photo(256), kind)
    with pytest.raises(ImageError, match=f"^(truncated|damaged) {kind}"):
        decode(data[: len(data) * 2 // 3])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"SKU;title\n1;Lamp\n", "not a picture (it starts like a text file)"),
        (b"a" + ("Ä" * 300).encode(), "not a picture (it starts like a text file)"),
        (b"%PDF-1.7\n\0\1", "not a picture (it starts like a PDF)"),
        (b"PK\x03\x04" + bytes(40), "not a picture (it starts like a ZIP archive or an office document)"),
        (b"\xe4\xf6 in Latin-1", "not a picture (its format is unknown)"),
        (bytes(100), "not a picture (its format is unknown)"),
        (b"\0\0\0\x18ftypmp42" + bytes(90), "not a picture (its format is unknown)"),
        (b"\xff\xd8\xff" + b"rubbish " * 20, "damaged JPEG: its header makes no sense"),
        (b"\x89PNG\r\n\x1a\n" + b"rubbish " * 20, "damaged PNG"),
        (png_header(0, 5), "damaged PNG"),
    ],
    ids=[
        "empty",
        "text",
        "utf8-cut",
        "pdf",
        "zip",
        "latin1",
        "zeros",
        "video",
        "jpeg-magic",
        "png-magic",
        "no-pixels",
    ],
)
def test_the_reason_is_one_a_shop_owner_understands(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError) as caught:
        decode(data)
    assert str(caught.value).startswith(reason)


def test_formats_off_the_list_are_refused_although_pillow_reads_them() -> None:
    for kind in ("PPM", "ICO", "PCX", "TGA", "JPEG2000", "EPS"):
        with pytest.raises(ImageError, match="not a picture"):
            decode(saved(Image.new("RGB", (16, 16)), kind))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
def test_unreadable_exif_costs_the_orientation_and_not_the_photo() -> None:
    data = saved(corners(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12\0\x03")
    assert corner_colours(decode(data).image) == UPRIGHT


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "photo.txt"  # the name does not matter, the bytes do
    path.write_bytes(saved(corners(), "JPEG"))
    assert corner_colours(decode_file(path, target=8).image) == UPRIGHT


def test_what_is_not_a_readable_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty.jpg").touch()
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(257 * 2**20)  # sparse: takes no room
    for name, reason in {
        "missing.jpg": "no such file",
        "": "a folder, not a file",
        "pipe": "not an ordinary file",
        "empty.jpg": "the file is empty",
        "huge.jpg": "the file is larger than 256 MiB",
        "nul\0.jpg": "cannot be read",
        "x" * 300: "cannot be read: File name too long",
    }.items():
        with pytest.raises(ImageError) as caught:
            decode_file(tmp_path / name)
        assert str(caught.value).startswith(reason)


def photo(side: int) -> Image.Image:
    """Smooth colours with some noise, so that every format has real data to pack."""
    y, x = np.mgrid[0:side, 0:side] / side
    noise = np.random.default_rng(7).normal(0, 0.05, (side, side, 3))
    pixels = np.stack([x, y, (x + y) / 2], axis=-1) + noise
    return Image.fromarray((pixels.clip(0, 1) * 255).astype(np.uint8))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::RuntimeWarning:PIL")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "HEIF", "AVIF"])
def test_damaged_bytes_give_a_picture_or_an_image_error(kind: str) -> None:
    """100 fixed variants of each format: flipped bits, overwritten runs and cuts, densest in the header."""
    dice = random.Random(kind)
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = saved(photo(48), kind, **({"exif": exif} if kind not in ("GIF", "BMP") else {}))
    pictures = 0
    for _ in range(100):
        data = bytearray(whole)
        reach = dice.choice([64, 512, len(data)])
        for _ in range(dice.randint(1, 6)):
            data[dice.randrange(min(reach, len(data)))] ^= 1 << dice.randrange(8)
        if dice.random() < 0.3:
            start = dice.randrange(len(data))
            data[start : start + 8] = dice.randbytes(8)
        if dice.random() < 0.3:
            del data[dice.randrange(len(data)) :]
        try:
            picture = decode(bytes(data), target=dice.choice([None, 8]), max_pixels=1_000_000)
        except ImageError as error:
            assert 0 < len(str(error)) < 100
            assert "\n" not in str(error)
        else:
            pictures += 1
            assert picture.image.mode == "RGB"
            np.asarray(picture.image)
    assert pictures < 100


def test_suffixes_are_lower_case_with_a_dot() -> None:
    assert {".jpg", ".jpeg", ".png", ".heic", ".avif", ".tif"} < SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in SUFFIXES)
