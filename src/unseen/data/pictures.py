"""Pictures in and out: upright, 8-bit RGB, without metadata, and either whole or an error."""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, UnidentifiedImageError
from PIL import Image as Pillow

from unseen.data.codec import Image
from unseen.errors import DataError
from unseen.files import written_whole

# Suffixes and how each is written; those that compress do so with as little loss as is sensible.
_SAVE: dict[str, dict[str, Any]] = {
    ".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jfif": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".png": {"format": "PNG"},
    ".webp": {"format": "WEBP", "quality": 95},
    ".bmp": {"format": "BMP"},
    ".tif": {"format": "TIFF", "compression": "tiff_lzw"},
    ".tiff": {"format": "TIFF", "compression": "tiff_lzw"},
    ".gif": {"format": "GIF"},
}
PICTURES = tuple(_SAVE)

# How a picture with each orientation of EXIF is turned.
_TURNED = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}

Part = UInt8[np.ndarray, "rows columns 3"]


def read_picture(path: Path) -> Image:
    """A picture as upright RGB, `uint8 (height, width, 3)`, on white where it is transparent.

    Colours that its transparency hides, as of something erased, are not in it.

    Raises:
        DataError: missing, no picture, damaged, with several frames, or with more than 8 bits.
    """
    try:
        # Of telephones' many pixels, of which it refuses twice as many, and of odd tags.
        with warnings.catch_warnings(action="ignore"), Pillow.open(path) as opened:
            count = getattr(opened, "n_frames", 1)
            # Telephones put more pictures behind the first of a JPEG file, such as its brightness;
            # only the first is read, and written.
            if count > 1 and opened.format != "MPO":
                raise DataError(f"{path} holds {count} pictures: save each as a file")
            # Colours of 16 bits are read as 8 without a word: only the raw modes of the parts tell.
            raw = " ".join(str(part[-1]) for part in getattr(opened, "tile", ()))
            bits = getattr(opened, "tag_v2", {}).get(ExifTags.Base.BitsPerSample, (8,))
            if opened.mode.startswith(("I", "F")) or re.search(";16[BLN]", raw) or max(bits) > 8:
                raise DataError(f"{path} has more than 8 bits a colour: save it with 8")
            opened.load()  # turns TIFF files, and takes their tag away
            # Not by Pillow's exif_transpose, which fails on files with odd other tags.
            turn = _TURNED.get(opened.getexif().get(ExifTags.Base.Orientation, 1))
            upright = opened if turn is None else opened.transpose(turn)
            if upright.has_transparency_data:
                white = Pillow.new("RGBA", upright.size, "white")
                upright = Pillow.alpha_composite(white, upright.convert("RGBA"))
            return np.array(upright.convert("RGB"), np.uint8)
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"no picture {path}: check the path") from error
    except Pillow.DecompressionBombError as error:
        most = 2 * (Pillow.MAX_IMAGE_PIXELS or 0)
        raise DataError(f"{path} has more than {most:,} pixels: make it smaller") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path} is no picture, or a damaged one") from error
    except Exception as error:  # Pillow raises what it likes for damaged files and tags
        raise DataError(f"{path} is damaged: {error}; get an undamaged copy") from error


def cut_out(image: Image, window: tuple[int, int, int, int]) -> Part:
    """What lies in a window (x0, y0, x1, y1), a copy; beyond the picture its edge is repeated."""
    x0, y0, x1, y1 = window
    height, width = image.shape[:2]
    rows, columns = np.arange(y0, y1).clip(0, height - 1), np.arange(x0, x1).clip(0, width - 1)
    part: Part = image[rows[:, None], columns]
    return part


def write_picture(path: Path, image: Image) -> None:
    """Write a picture in the format of its suffix, without any metadata.

    Raises:
        DataError: it cannot be written.
    """
    try:
        with written_whole(path) as temporary:
            Pillow.fromarray(image).save(temporary, **_SAVE[path.suffix.lower()])
    except (OSError, ValueError, OverflowError) as error:  # the latter: too large for its format
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise DataError(f"cannot write {path}: {reason}") from error
