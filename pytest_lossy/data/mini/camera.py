"""A pinhole camera in a street: x right, y up, z along the street, metres, radians."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["NEAR", "Camera", "CameraMotion", "Vector", "View"]

Vector = tuple[float, float, float]

NEAR = 0.4
"""Metres: geometry closer than this is cut off, as a bonnet-mounted camera would never see it."""


@dataclass(frozen=True, slots=True)
class Camera:
    """Where the camera stands and where it looks."""

    position: Vector
    yaw: float
    """Positive looks to the right of the street's axis."""
    pitch: float
    """Positive looks down."""
    roll: float
    focal: float
    """Focal length in image widths: 1.0 is a horizontal field of view of 53 degrees."""

    def basis(self) -> npt.NDArray[np.float64]:
        """(3, 3): the camera's right, up and forward directions in world coordinates, one per row."""
        sy, cy = math.sin(self.yaw), math.cos(self.yaw)
        sp, cp = math.sin(self.pitch), math.cos(self.pitch)
        sr, cr = math.sin(self.roll), math.cos(self.roll)
        right = np.array([cy, 0.0, -sy])
        forward = np.array([sy * cp, -sp, cy * cp])
        up = np.array([sy * sp, cp, cy * sp])
        return np.stack([cr * right + sr * up, cr * up - sr * right, forward])

    def view(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """World points (n, 3) in camera coordinates (n, 3): right, up, forward."""
        d = points - np.array(self.position)
        b = self.basis()
        # Written out rather than as a matrix product, whose summation order depends on the BLAS in use.
        return np.stack([d[:, 0] * r[0] + d[:, 1] * r[1] + d[:, 2] * r[2] for r in b], axis=1)


@dataclass(frozen=True, slots=True)
class CameraMotion:
    """How a hand-held camera turns and sways."""

    pan: float = 0.0
    """Radians per second to the right."""
    tilt: float = 0.0
    """Radians per second downwards."""
    strafe: float = 0.0
    """Metres per second to the right."""
    shake: float = 0.0
    """Amplitude of the trembling, radians."""
    rate: float = 1.0
    """Of the trembling, Hertz."""
    phase: float = 0.0

    def applied(self, camera: Camera, time: float) -> Camera:
        """The camera after ``time`` seconds."""
        way, angle = self.strafe * time, 2.0 * math.pi * self.rate * time + self.phase
        x, y, z = camera.position
        return dataclasses.replace(
            camera,
            position=(x + way * math.cos(camera.yaw), y, z - way * math.sin(camera.yaw)),
            yaw=camera.yaw + self.pan * time + self.shake * math.sin(angle),
            # Another frequency than sideways, or the trembling would be a straight line.
            pitch=camera.pitch + self.tilt * time + 0.6 * self.shake * math.sin(1.7 * angle + 1.0),
        )


@dataclass(frozen=True, slots=True)
class View:
    """A camera and the raster that it exposes; the principal point is the middle."""

    camera: Camera
    width: int
    height: int

    @property
    def focal(self) -> float:
        """Focal length in pixels of this raster."""
        return self.camera.focal * self.width

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), as Pillow wants it."""
        return (self.width, self.height)
