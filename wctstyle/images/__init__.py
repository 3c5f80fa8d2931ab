"""Pictures in and out: files, bytes, arrays and Pillow images to float sRGB arrays, and back to files.

Every decoded picture is upright, in sRGB, float32 in [0, 1], with its transparency apart.

The modules import only downwards: sheets, animations, writing, rows, recipes, reading, modes, profiles, formats, those
of single formats (pngs, jpegs, tiffs, tiff_pixels, isomedia), color_spaces, arrays, guards, raster, scratch, picture.
"""

from wctstyle.images.animations import Animation, animation, save_animation
from wctstyle.images.arrays import as_array, checked_rgb, checked_values
from wctstyle.images.formats import SUPPORTED_SUFFIXES
from wctstyle.images.guards import DEFAULT_MAX_PIXELS
from wctstyle.images.picture import (
    LEAST_OPACITY,
    Part,
    Picture,
    as_floats,
    as_kind,
    fill_hidden,
    flatten,
    hidden_filled,
    lanczos_reach,
    resample,
    resample_part,
    resize,
    resize_part,
    resize_planes,
    resize_to,
    scaled_sides,
    trimmed,
    unweighted,
    visible_box,
)
from wctstyle.images.raster import Raster, slabs
from wctstyle.images.reading import BinaryStream, is_image_file, load, load_raster
from wctstyle.images.recipes import read_recipe
from wctstyle.images.scratch import Scratch
from wctstyle.images.writing import (
    DEFAULT_QUALITY,
    Kept,
    RowWriter,
    check_quality,
    encode,
    make_folder,
    replacing,
    save,
    saving,
)

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "DEFAULT_QUALITY",
    "LEAST_OPACITY",
    "SUPPORTED_SUFFIXES",
    "Animation",
    "BinaryStream",
    "Kept",
    "Part",
    "Picture",
    "Raster",
    "RowWriter",
    "Scratch",
    "check_quality",
    "animation",
    "as_array",
    "as_floats",
    "as_kind",
    "checked_rgb",
    "checked_values",
    "encode",
    "fill_hidden",
    "flatten",
    "hidden_filled",
    "is_image_file",
    "load",
    "load_raster",
    "make_folder",
    "read_recipe",
    "lanczos_reach",
    "replacing",
    "resample",
    "resample_part",
    "resize_part",
    "resize",
    "resize_planes",
    "resize_to",
    "save",
    "save_animation",
    "saving",
    "scaled_sides",
    "slabs",
    "trimmed",
    "unweighted",
    "visible_box",
]
