"""Frames of a camera, a video file or a stream, made the images a network sees just as still images are. Needs OpenCV.

with Camera("0") as camera:
    for frame in camera.frames(10, every_s=0.5):
        frame.image  # (32, 32, 3) uint8 RGB
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from .images import ImageError, sized


class CameraError(ImageError):
    """A camera, video or stream that cannot be had, or gives no frames; one line with the remedy."""


@dataclass(frozen=True)
class Frame:
    """index: of the frame in the stream, from 0. time_s: since its first. image: (32, 32, 3) uint8 RGB."""

    index: int
    time_s: float
    image: np.ndarray


class Camera:
    """The camera of number ``source``, or the video file or stream address; a context manager that gives it back.

    A time is a recording's own for a file, and the clock's for all else. Raises CameraError.
    """

    def __init__(self, source: str) -> None:
        # OpenCV and FFmpeg write their own reasons to stderr, beside the one line that tells the user.
        os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        try:
            import cv2
        except ImportError as error:
            raise CameraError(
                f"camera {source}: OpenCV is not installed here; install this package with [camera] "
                "(PYNQ images have it: python3-opencv)"
            ) from error
        self.source, self._cv2 = source, cv2
        number = int(source) if source.isdecimal() else None
        self.recorded = number is None and Path(source).is_file()
        if number is None and not self.recorded and "://" not in source:
            raise CameraError(
                f"camera {source}: no such video file; give a camera's number, a video file, or an address such as "
                "rtsp://host/stream"
            )
        try:
            self._capture = cv2.VideoCapture(source if number is None else number)
            opened = self._capture.isOpened()
        except (cv2.error, OverflowError) as error:
            raise CameraError(f"camera {source}: {' '.join(str(error).split())}; give another") from error
        if not opened:
            self.close()
            raise CameraError(f"camera {source}: cannot be opened; {self._remedy(number)}")
        # Fewer frames that are old before they are seen; not every driver knows it.
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def __enter__(self) -> Camera:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the device back."""
        self._capture.release()

    def frames(self, count: int | None = None, every_s: float = 0.0, strict_size: bool = False) -> Iterator[Frame]:
        """Yield ``count`` frames, or all until the end, at least ``every_s`` seconds from one to the next.

        Those between are read and dropped, so that what comes is never old. strict_size: refuse frames that are not
        32x32 instead of resizing them. Raises CameraError for a stream that ends before ``count`` frames, or has
        none; ImageError for a refused size.
        """
        given, index, due = 0, 0, 0.0
        begin: float | None = None
        while count is None or given < count:
            if not self._capture.grab():
                break
            now = self._now()
            begin = now if begin is None else begin
            # Half a millisecond, since a recording's times are rounded.
            if now - begin >= due - 5e-4:
                yield Frame(index, now - begin, self._image(index, strict_size))
                given, due = given + 1, now - begin + every_s
            index += 1
        if not index and count != 0:
            raise CameraError(f"camera {self.source}: opened, but gave no frame; see that no other program uses it")
        if count is not None and given < count:
            raise CameraError(
                f"camera {self.source}: ended after {index} frames with {given} of {count} classified; "
                "ask for fewer with --frames, or see to the connection"
            )

    def _now(self) -> float:
        return float(self._capture.get(self._cv2.CAP_PROP_POS_MSEC)) / 1e3 if self.recorded else time.monotonic()

    def _image(self, index: int, strict_size: bool) -> np.ndarray:
        from PIL import Image

        there, pixels = self._capture.retrieve()
        if not there or pixels is None or not pixels.size:
            raise CameraError(f"camera {self.source}: frame {index} is empty; see to the cable, or try another mode")
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise CameraError(
                f"camera {self.source}: frame {index}: expected uint8 (height, width, 3), got {pixels.dtype} "
                f"{pixels.shape}; set the camera to a colour mode"
            )
        rgb = np.ascontiguousarray(pixels[:, :, ::-1])
        return sized(Image.fromarray(rgb), f"camera {self.source}: frame {index}", strict_size)

    def _remedy(self, number: int | None) -> str:
        if number is not None:
            return f"see that /dev/video{number} is there, that you may read it, and that no other program uses it"
        return "it is no video OpenCV reads" if self.recorded else "see that the address answers"
