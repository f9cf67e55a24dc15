"""`spikeclip classify --camera` on a real video file that OpenCV writes here; no machine of ours has a camera."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spikeclip_fpga.cli.main import main
from spikeclip_fpga.host.camera import Camera, CameraError
from spikeclip_fpga.host.images import ImageError, load_images

from .bundles import LABELS, NETWORK

FPS, COUNT = 10, 8
NETS = ("--network", str(NETWORK), "--labels", str(LABELS), "--backend", "golden")


@pytest.fixture(scope="module")
def cv2() -> Any:
    return pytest.importorskip("cv2", reason="OpenCV is not installed here; it is the extra camera")


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """(COUNT, 48, 80, 3) uint8 RGB of coarse patches, which video coding keeps apart."""
    return np.random.default_rng(0).integers(0, 256, (COUNT, 3, 5, 3)).astype(np.uint8).repeat(16, 1).repeat(16, 2)


@pytest.fixture(scope="module")
def video(cv2: Any, pictures: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "street.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), FPS, (80, 48))
    assert writer.isOpened()
    for picture in pictures:
        writer.write(np.ascontiguousarray(picture[:, :, ::-1]))
    writer.release()
    return path


def test_frames_are_what_the_same_picture_is_as_a_file(cv2: Any, video: Path, tmp_path: Path) -> None:
    reader, files = cv2.VideoCapture(str(video)), []
    while (read := reader.read())[0]:
        files.append(tmp_path / f"{len(files)}.png")
        cv2.imwrite(str(files[-1]), read[1])
    with Camera(str(video)) as camera:
        frames = list(camera.frames())
    assert [frame.index for frame in frames] == list(range(COUNT)) and len(files) == COUNT
    np.testing.assert_array_equal(np.stack([frame.image for frame in frames]), load_images(files)[0])


def test_colours_are_the_pictures_own(video: Path, pictures: np.ndarray) -> None:
    """Red stays red: coding loses some, a swap of channels would lose far more."""
    with Camera(str(video)) as camera:
        for frame, picture in zip(camera.frames(), pictures, strict=True):
            still = np.asarray(Image.fromarray(picture).resize((32, 32), Image.Resampling.BILINEAR)).astype(int)
            assert np.abs(frame.image - still).mean() * 4 < np.abs(frame.image[:, :, ::-1] - still).mean()


def test_every_counts_the_recordings_seconds(video: Path) -> None:
    with Camera(str(video)) as camera:
        frames = list(camera.frames(every_s=0.2))
    assert [frame.index for frame in frames] == [0, 2, 4, 6]
    assert [round(frame.time_s, 3) for frame in frames] == [0.0, 0.2, 0.4, 0.6]
    with Camera(str(video)) as camera:
        assert [frame.index for frame in camera.frames(2, every_s=0.25)] == [0, 3]


def test_strict_size_refuses_other_frames(video: Path) -> None:
    with Camera(str(video)) as camera, pytest.raises(ImageError, match=r"frame 0: expected 32x32 pixels, got 80x48"):
        list(camera.frames(1, strict_size=True))


def test_a_line_for_each_frame(video: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["classify", "--camera", str(video), "--frames", "3", "--top", "2", "--json", *NETS]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["frame"], row["time_s"], row["backend"], row["emulated"]) for row in rows] == [
        (0, 0.0, "golden", True),
        (1, 0.1, "golden", True),
        (2, 0.2, "golden", True),
    ]
    with Camera(str(video)) as camera:
        for frame in camera.frames(3):
            Image.fromarray(frame.image).save(tmp_path / f"{frame.index}.png")
    assert main(["classify", str(tmp_path), "--top", "2", "--json", *NETS]) == 0
    stills = json.loads(capsys.readouterr().out)["images"]
    assert [row["labels"] for row in rows] == [still["labels"] for still in stills]
    assert main(["classify", "--camera", str(video), "--every", "0.3", "--top", "1", *NETS]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["frame 0, 0.00 s", "frame 3, 0.30 s", "frame 6, 0.60 s"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--camera", "97"], "camera 97: cannot be opened; see that /dev/video97 is there"),
        (["--camera", "absent.avi"], "camera absent.avi: no such video file"),
        (["--camera", "text.avi"], "cannot be opened; it is no video OpenCV reads"),
        (["--camera", "rtsp://127.0.0.1:9/x"], "see that the address answers"),
        (["--camera", "0", "a.png"], "--camera 0: images are given too (a.png)"),
        (["--camera", "0", "--frames", "0"], "--frames: expected 1 or more, got 0"),
        (["--camera", "0", "--every", "nan"], "--every: expected 0 or more seconds, got nan"),
        (["--frames", "3", "a.png"], "only a camera has frames"),
        ([], "nothing to classify"),
    ],
)
def test_mistakes_are_told_in_one_line(cv2: Any, arguments: list[str], words: str, tmp_path: Path) -> None:
    (tmp_path / "text.avi").write_text("no video")
    command = [sys.executable, "-m", "spikeclip_fpga.cli.main", "classify", *arguments, *NETS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("spikeclip: ") and words in done.stderr


def test_a_stream_that_ends_early_keeps_its_lines(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", "--camera", str(video), "--frames", str(COUNT + 1), *NETS]) == 1
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == COUNT and f"{COUNT} of {COUNT + 1} classified" in said.err


def test_without_opencv_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(CameraError, match=r"OpenCV is not installed here; install this package with \[camera\]"):
        Camera("0")


class Capture:
    """A capture that gives what a test says, and tells whether it was given back."""

    def __init__(self, *frames: Any) -> None:
        self.frames, self.released = list(frames), False

    def grab(self) -> bool:
        return bool(self.frames)

    def retrieve(self) -> tuple[bool, Any]:
        return True, self.frames.pop(0)

    def get(self, key: int) -> float:
        return 0.0

    def release(self) -> None:
        self.released = True


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ((), "opened, but gave no frame"),
        ((np.zeros((0, 0, 3), np.uint8),), "frame 0 is empty"),
        ((None,), "frame 0 is empty"),
        ((np.zeros((48, 80), np.uint16),), r"expected uint8 \(height, width, 3\), got uint16 \(48, 80\)"),
    ],
)
def test_a_device_that_gives_no_picture_is_named_and_given_back(
    frames: tuple[Any, ...], words: str, video: Path
) -> None:
    camera = Camera(str(video))
    camera.close()
    camera._capture = capture = Capture(*frames)
    with pytest.raises(CameraError, match=words), camera:
        list(camera.frames(1))
    assert capture.released


def test_interrupted_it_gives_the_camera_back(
    video: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    closed: list[str] = []
    image, close = Camera._image, Camera.close

    def interrupted(self: Camera, index: int, strict_size: bool) -> np.ndarray:
        if index == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return image(self, index, strict_size)

    def noted(self: Camera) -> None:
        close(self)
        closed.append(self.source)

    monkeypatch.setattr(Camera, "_image", interrupted)
    monkeypatch.setattr(Camera, "close", noted)
    # A shell starts what it puts in the background with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for arguments, code in (([], 0), (["--frames", "5"], 130)):
            assert main(["classify", "--camera", str(video), *arguments, *NETS]) == code
            said = capsys.readouterr()
            assert len(said.out.splitlines()) == 2 and "stopped after 2 frames" in said.err
    finally:
        signal.signal(signal.SIGINT, before)
    assert closed == [str(video)] * 2
