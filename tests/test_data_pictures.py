"""Pictures in and out, and folders of them."""

import struct
import subprocess
import sys
import warnings
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ExifTags, ImageOps
from PIL import Image as Pillow

from face_clips import background, moving
from unseen.anonymizers.load import load_anonymizer
from unseen.data.codec import Image
from unseen.data.pictures import PICTURES, read_picture, write_picture
from unseen.deploy import apply
from unseen.deploy.apply import anonymize_paths, anonymize_picture
from unseen.errors import ConfigError, DataError, NoFacesError
from unseen.faces.find import FaceSettings
from video_files import make_video, noise

LOSSY = (".jpg", ".jpeg", ".jfif", ".webp", ".gif")
FACE = moving([(90, 40)])[0][0]


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("suffix", PICTURES)
def test_every_format_is_kept(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix.upper()}"
    write_picture(path, FACE)
    with Pillow.open(path) as opened:
        kinds = {"jpg": "JPEG", "jpeg": "JPEG", "jfif": "JPEG", "tif": "TIFF", "tiff": "TIFF"}
        assert opened.format == kinds.get(suffix[1:], suffix[1:].upper())
    difference = np.abs(read_picture(path).astype(int) - FACE)
    assert difference.mean() < (5 if suffix == ".gif" else 1.5)
    assert suffix in LOSSY or not difference.any()
    assert names(tmp_path) == [path.name]


def test_metadata_is_dropped_and_orientation_applied(tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    exif[0x010F] = "Camera of Jane Doe"
    src, dst = tmp_path / "a.jpg", tmp_path / "b.jpg"
    Pillow.fromarray(FACE).save(src, exif=exif, comment=b"Jane Doe", quality=95)
    assert src.read_bytes().count(b"Jane Doe") == 2
    applied = anonymize_picture(src, dst, load_anonymizer("grey"))
    assert (applied.width, applied.height) == (FACE.shape[0], FACE.shape[1])
    assert applied.faces is None
    assert b"Jane Doe" not in dst.read_bytes()
    with Pillow.open(dst) as opened:
        assert not opened.getexif()
        shown = np.array(opened).astype(int)
    grey = np.rot90(FACE, -1).mean(2)
    assert np.abs(shown - grey[..., None]).mean() < 2


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "1"])
def test_all_kinds_of_8_bit_pictures(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Pillow.fromarray(FACE).convert("L" if mode == "LA" else "RGB").convert(mode).save(path)
    image = read_picture(path)
    assert image.shape == FACE.shape
    assert image.dtype == np.uint8
    assert np.corrcoef(image.mean(2).ravel(), FACE.mean(2).ravel())[0, 1] > (
        0.2 if mode == "1" else 0.6
    )


def test_of_a_telephones_picture_the_first_is_read_and_written(tmp_path: Path) -> None:
    """JPEG files with further pictures behind the first (MPO): none of those comes out."""
    src, dst = tmp_path / "a.jpg", tmp_path / "b.jpg"
    behind = [Pillow.fromarray(255 - FACE)]
    Pillow.fromarray(FACE).save(src, "MPO", save_all=True, append_images=behind, quality=95)
    assert np.abs(read_picture(src).astype(int) - FACE).mean() < 1.5
    assert anonymize_picture(src, dst).faces == 1
    with Pillow.open(dst) as opened:
        assert opened.format == "JPEG"
    assert dst.stat().st_size < 0.7 * src.stat().st_size


def test_pictures_that_are_not_read_are_told_of(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_picture(tmp_path / "in" / "a.png", FACE)
    (tmp_path / "in" / "b.HEIC").write_bytes(b"ftypheic")
    with pytest.raises(DataError, match=r"b\.HEIC: pictures of this kind are not read"):
        anonymize_paths([tmp_path / "in"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_faces_are_covered_and_all_else_stays(tmp_path: Path) -> None:
    src, dst = tmp_path / "a.png", tmp_path / "b.png"
    write_picture(src, FACE)
    applied = anonymize_picture(src, dst, faces_json=tmp_path / "faces.json")
    assert applied.faces == 1
    shown = read_picture(dst)
    changed = (shown != FACE).any(2)
    assert (shown[changed] == 0).all()
    rows, columns = np.nonzero(changed)
    # Her face, 33 pixels across at (126, 83), and 1.6 times as much.
    assert columns.min() < 110 < 143 < columns.max()
    assert rows.min() < 61 < 105 < rows.max()
    assert changed.mean() < 0.12
    assert (tmp_path / "faces.json").exists()


def test_a_folder_of_both(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    write_picture(photos / "a.png", FACE)
    write_picture(photos / "trip" / "B.JPG", background())
    make_video(photos / "trip" / "c.mkv", np.repeat(FACE[None], 3, 0))
    (photos / "notes.txt").write_text("no picture")
    out = tmp_path / "out"
    done = anonymize_paths([photos], out, faces_json=tmp_path / "json")
    assert names(out) == ["a.png", "trip/B.JPG", "trip/c.mkv"]
    assert names(tmp_path / "json") == ["a.png.json", "trip/B.JPG.json", "trip/c.mkv.json"]
    assert {one.source.name: one.faces for one in done} == {"a.png": 1, "B.JPG": 0, "c.mkv": 1}
    anonymize_paths([photos / "a.png"], None, load_anonymizer("mask"))
    assert (read_picture(photos / "a.anonymized.png") == 0).all()
    assert len(anonymize_paths([photos], out)) == 3  # own outputs are passed over


def test_files_of_faces_replace_nothing(tmp_path: Path) -> None:
    one, other = tmp_path / "a" / "x.png", tmp_path / "b" / "x.png"
    for path in (one, other):
        write_picture(path, background())
    before = names(tmp_path)
    json, out = tmp_path / "json", tmp_path / "out.png"
    with pytest.raises(DataError) as caught:
        anonymize_paths([one, other, tmp_path / "no.png"], None, faces_json=json)
    assert caught.value.faults == (
        f"{tmp_path / 'no.png'}: no such file or folder",
        f"{one}, {other}: the faces of all would be written to {json / 'x.anonymized.png.json'}; "
        "anonymize them one by one, or the folder that holds them all",
    )
    for inputs, path, what in (([one], one, "input"), ([one], out, "output")):
        with pytest.raises(DataError, match=f"x.png: the faces would replace the {what} {path}"):
            anonymize_paths(inputs, out, faces_json=path)
        with pytest.raises(ConfigError, match=f"{path} is the {what} itself"):
            anonymize_picture(one, out, faces_json=path)
    assert names(tmp_path) == before
    anonymize_paths([tmp_path], None, faces_json=json)
    assert names(json) == ["a/x.anonymized.png.json", "b/x.anonymized.png.json"]


def test_faces_that_must_be_there(tmp_path: Path) -> None:
    write_picture(tmp_path / "in" / "a.png", FACE)
    write_picture(tmp_path / "in" / "b.png", background())
    required = FaceSettings(required=True)
    with pytest.raises(
        NoFacesError,
        match=r"1 of 2 files failed, the others are done:\n  - no face was found in .*b\.",
    ):
        anonymize_paths([tmp_path / "in"], tmp_path / "out", faces=required)
    assert names(tmp_path / "out") == ["a.png"]
    (tmp_path / "in" / "c.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="2 of 3 files failed"):
        anonymize_paths([tmp_path / "in"], tmp_path / "out", faces=required)
    assert names(tmp_path / "out") == ["a.png"]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_every_orientation_is_made_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    path, exif = tmp_path / f"a.{suffix}", Pillow.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Pillow.fromarray(FACE).save(path, exif=exif, lossless=True)  # as webp; jpg cannot
    mirrored, turns = {
        1: (False, 0), 2: (True, 0), 3: (False, 2), 4: (True, 2),
        5: (True, 1), 6: (False, -1), 7: (True, -1), 8: (False, 1),
    }[orientation]  # fmt: skip
    upright = np.rot90(FACE[:, ::-1] if mirrored else FACE, turns)
    shown = read_picture(path).astype(int)
    assert shown.shape == upright.shape
    assert np.abs(shown - upright).mean() < (3 if suffix == "jpg" else 0.01)


def test_what_transparency_hides_stays_hidden(tmp_path: Path) -> None:
    """An image editor's eraser may leave the colours where they were."""
    image = np.full((20, 30, 4), (200, 0, 0, 255), np.uint8)
    image[:10, :, 3], image[10:, :10, 3] = 0, 128
    Pillow.fromarray(image).save(tmp_path / "a.png")
    palette = Pillow.fromarray(image[..., :3]).quantize(2)
    palette.save(tmp_path / "b.png", transparency=palette.getpixel((0, 0)))
    shown = read_picture(tmp_path / "a.png")
    assert (shown[:10] == 255).all()
    assert (shown[10:, 10:] == (200, 0, 0)).all()
    assert np.abs(shown[10:, :10].astype(int) - (227, 127, 127)).max() <= 1
    assert (read_picture(tmp_path / "b.png") == 255).all()


def test_pictures_of_16_bits_in_planes_are_refused(tmp_path: Path) -> None:
    """Pillow reads their bytes as if they were of 8."""
    planes = np.stack([np.full((4, 6), value << 8, "<u2") for value in (10, 20, 30)])
    head, at = 8 + 2 + 10 * 12 + 4, 8 + 2 + 10 * 12 + 4 + 6
    offsets = at + 24
    tags = [
        (256, 3, 1, 6), (257, 3, 1, 4), (258, 3, 3, head), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 3, at), (277, 3, 1, 3), (278, 3, 1, 4), (279, 4, 3, at + 12), (284, 3, 1, 2),
    ]  # fmt: skip
    data = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    data += b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    data += struct.pack("<3H", 16, 16, 16)
    data += struct.pack("<6I", *(offsets + 48 * plane for plane in range(3)), 48, 48, 48)
    (tmp_path / "a.tif").write_bytes(data + planes.tobytes())
    with Pillow.open(tmp_path / "a.tif") as opened:
        assert (opened.size, opened.mode) == ((6, 4), "RGB")
    with pytest.raises(DataError, match="more than 8 bits a colour"):
        read_picture(tmp_path / "a.tif")


def test_broken_tags_are_read_without_a_warning(tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[ExifTags.Base.Make] = "somebody's"
    data = exif.tobytes()
    Pillow.fromarray(FACE).save(tmp_path / "a.jpg", exif=data[:-8])
    with warnings.catch_warnings(action="error"):
        assert read_picture(tmp_path / "a.jpg").shape == FACE.shape


def test_a_failed_picture_does_not_stay_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.png", "c.png"):
        write_picture(tmp_path / name, background(40, 60))
    kept: list[weakref.ref[Image]] = []

    def read(path: Path) -> Image:
        assert all(reference() is None for reference in kept)
        image = read_picture(path)
        kept.append(weakref.ref(image))
        return image

    monkeypatch.setattr(apply, "read_picture", read)
    with pytest.raises(NoFacesError, match="3 of 3 files failed"):
        anonymize_paths([tmp_path], tmp_path / "out", faces=FaceSettings(required=True))
    assert len(kept) == 3


@pytest.mark.parametrize("tag", [ExifTags.Base.XResolution, ExifTags.Base.ResolutionUnit])
def test_odd_tags_do_not_matter(tmp_path: Path, tag: ExifTags.Base) -> None:
    image = noise(1, 32, 48)[0]
    path = tmp_path / "a.jpg"
    exif = Pillow.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.ImageDescription] = "as it should not be"
    data = exif.tobytes()
    # The type and the place of the description under the number of another tag.
    for order in ("little", "big"):
        data = data.replace(
            ExifTags.Base.ImageDescription.to_bytes(2, order), tag.to_bytes(2, order)
        )
    Pillow.fromarray(image).save(path, exif=data, quality=100, subsampling=0)
    with Pillow.open(path) as opened, pytest.raises((TypeError, struct.error)):
        ImageOps.exif_transpose(opened)
    turned = read_picture(path)
    assert turned.shape == (48, 32, 3)
    with Pillow.open(path) as opened:
        assert np.array_equal(turned, np.rot90(np.array(opened.convert("RGB")), -1))


def test_bad_pictures_leave_nothing(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jpg"
    write_picture(whole, noise(1, 64, 64)[0])
    data = whole.read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("no picture")
    frames = [Pillow.fromarray(image) for image in noise(3)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    Pillow.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "deep.png")
    for name in ("colours.png", "colours.tif"):
        cv2.imwrite(str(tmp_path / name), np.zeros((8, 8, 3), np.uint16))
    for name, message in (
        ("cut.jpg", "is damaged"),
        ("empty.png", "is no picture, or a damaged one"),
        ("text.png", "is no picture, or a damaged one"),
        ("moving.gif", "holds 3 pictures"),
        ("deep.png", "more than 8 bits"),
        ("colours.png", "more than 8 bits"),
        ("colours.tif", "more than 8 bits"),
        ("none.png", "no picture"),
    ):
        dst = tmp_path / f"out{Path(name).suffix}"
        with pytest.raises(DataError, match=message):
            anonymize_picture(tmp_path / name, dst)
        assert not dst.exists()
    with pytest.raises(ConfigError, match="is the input itself"):
        anonymize_picture(whole, whole)
    with pytest.raises(ConfigError, match="of another kind"):
        anonymize_paths([whole], tmp_path / "out.mp4")
    assert whole.read_bytes() == data


def test_a_picture_too_large_for_its_format_is_one_line(tmp_path: Path) -> None:
    long = np.zeros((2, 20000, 3), np.uint8)  # WebP has at most 16,383
    with pytest.raises(DataError, match=r"cannot write .*a\.webp: "):
        write_picture(tmp_path / "a.webp", long)
    with pytest.raises(DataError, match=r"cannot write .*a\.gif: "):
        write_picture(tmp_path / "a.gif", np.zeros((1, 70000, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_a_large_picture_is_read_without_a_warning_and_a_huge_one_refused(tmp_path: Path) -> None:
    """Pillow warns of so many pixels, and refuses twice as many."""
    for name, side in (("14.png", 14), ("14.tif", 14), ("14.gif", 14), ("15.png", 15)):
        write_picture(tmp_path / name, np.zeros((side, side, 3), np.uint8))
    script = """if True:
        import sys
        from pathlib import Path
        from PIL import Image
        from unseen.data.pictures import read_picture
        from unseen.errors import DataError
        Image.MAX_IMAGE_PIXELS = 100
        for name in ("14.png", "14.tif", "14.gif"):
            assert read_picture(Path(name)).shape == (14, 14, 3)
        try:
            read_picture(Path("15.png"))
        except DataError as error:
            print(error)
    """
    told = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert told.stdout == "15.png has more than 200 pixels: make it smaller\n"
    assert told.stderr == ""
