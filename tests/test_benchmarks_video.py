"""The benchmark of video: its figures on pictures whose answer is known."""

import shlex
import sys

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from benchmarks import video
from wctstyle.errors import ConfigError, ImageError
from wctstyle.video.frames import Frame

pytest.importorskip("cv2", reason="OpenCV is not installed: pip install '.[video]'")


def ground(seed=0):
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(64, 120, 3)), (2, 2, 0))
    return np.clip(0.5 + 0.2 * noise / noise.std(), 0, 1).astype(np.float32)


def moved(pixels):
    return np.ascontiguousarray(ground()[:, pixels : pixels + 96])


def test_a_painting_that_goes_along_has_no_error_and_one_that_stays_has():
    motion = video.sought(moved(0), moved(3))
    assert motion.seen[8:-8, 8:-12].mean() > 0.9
    assert video.squared(moved(0), moved(3), motion) < 0.01**2
    assert video.squared(moved(0), moved(0), motion) > 0.1**2


def test_a_pair_of_known_flow_is_read(tmp_path):
    from PIL import Image

    for place, pixels in enumerate((0, 4)):
        Image.fromarray(np.uint8(255 * moved(pixels))).save(tmp_path / f"a-img{place}.ppm")
    flow = np.zeros((64, 96, 2), np.float32)
    flow[..., 0] = -4
    header = np.float32(video.FLO_MAGIC).tobytes() + np.array([96, 64], np.int32).tobytes()
    (tmp_path / "a-gt.flo").write_bytes(header + flow.tobytes())
    found = video.clip(str(tmp_path / "a-gt.flo"), 512, 0, 2)
    assert found.known is not None
    assert found.known.seen[:, 4:].mean() > 0.95
    assert not found.known.seen[:, :4].any()
    last, new = (frame.rgb for frame in found.frames)
    assert video.squared(last, new, found.known) < 0.01**2


def test_what_is_no_pair_is_told(tmp_path):
    (tmp_path / "a-gt.flo").write_bytes(b"no flow at all")
    with pytest.raises(ImageError, match=r"a-img0.ppm: cannot be read"):
        video.pair(tmp_path / "a-gt.flo")
    with pytest.raises(ImageError, match=r"a-gt.flo: is no .flo file"):
        video.read_flo(tmp_path / "a-gt.flo")


def test_a_table_gives_ratios_to_the_frames_by_themselves():
    clip = video.Clip("pan", [Frame(i, i / 25, moved(2 * i)) for i in range(3)])
    flows = video.motions(clip)
    photos = [frame.rgb for frame in clip.frames]
    rough = [ground(seed)[:, :96] for seed in (1, 2, 3)]
    half = [0.5 + (rgb - 0.5) / 2 for rgb in rough]
    rows = [
        {
            "clip": "pan",
            "way": "",
            "calm": calm,
            "seconds": 0.5,
            "cpu": 0.7,
            **video.measured(clip, flows, painted, None),
        }
        for calm, painted in ((0.0, rough), (1.0, half), (None, photos))
    ]
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in video.markdown(rows).splitlines()]
    own, calm, photo = (dict(zip(lines[0][:4] + ["-"] * 3 + lines[0][7:], line, strict=True)) for line in lines[2:])
    assert (own["of own"], calm["of own"], calm["sharp"]) == ("1.00", "0.50", "0.25")
    assert (calm["frames/s"], calm["cpu s"], photo["calm"], photo["frames/s"]) == ("2.0", "0.70", "photos", "-")
    assert float(photo["of own"]) < 0.1


def copying(frames):
    code = f"import shutil, sys; [shutil.copy(sys.argv[1] + '/%06d.png' % i, sys.argv[2]) for i in range({frames})]"
    return shlex.join([sys.executable, "-S", "-c", code]) + " {content} {out}"


def test_another_program_paints_a_folder_of_frames():
    photos = [moved(0), moved(3)]
    np.testing.assert_allclose(video.by_peer(copying(2), photos, ground()), photos, atol=1 / 255)
    with pytest.raises(ConfigError, match=r"wrote 1 pictures to \{out\}; wanted 2 of 96 x 64"):
        video.by_peer(copying(1), photos, ground())
