"""From a display list to a buffer of surface numbers, by the painter's algorithm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from pytest_lossy.data.mini.camera import NEAR, Vector, View
from pytest_lossy.data.mini.display import DisplayList, Leaves, Shadow
from pytest_lossy.data.mini.noise import COARSE, FINE, Banks

__all__ = ["extents", "rasterise", "shadow_map"]

Int32 = npt.NDArray[np.int32]
Float64 = npt.NDArray[np.float64]
_FAR_AWAY = 1.0e6  # pixels; Pillow takes 32-bit coordinates


def rasterise(display: DisplayList, view: View, noise: Banks) -> Int32:
    """Draw every command in order.

    Args:
        display: what to draw; surface 0 fills the background.
        view: the viewpoint and the size of the buffer.
        noise: shapes the ragged outlines.

    Returns:
        (height, width) surface numbers.

    """
    image = Image.new("I", view.size, 0)
    draw = ImageDraw.Draw(image)
    polygons = _projected([c[1] for c in display.commands if not isinstance(c, Leaves)], view)
    following = iter(polygons)
    for command in display.commands:
        if isinstance(command, Leaves):
            _paste_leaves(image, display.rows[command.surface], command, view, noise)
            continue
        outline = next(following)
        if outline is not None:
            draw.polygon(outline, fill=command[0])
    return np.asarray(image, dtype=np.int32)


def extents(display: DisplayList, view: View) -> dict[int, tuple[float, float, float, float]]:
    """Where each instance would be seen if nothing hid it and the picture had no border.

    Returns:
        instance -> x0, y0, x1, y1 in pixels of the view; parts nearer than the camera's near plane are left out.

    """
    points: list[Vector] = []
    owners: list[float] = []
    for command in display.commands:
        if not isinstance(command, Leaves) and (owner := display.rows[command[0]][-1]):
            points += command[1]
            owners += [owner] * len(command[1])
    if not points:
        return {}
    seen = view.camera.view(np.array(points, dtype=np.float64))
    ahead = seen[:, 2] >= NEAR
    x, y, z = seen[ahead].T
    column, row = x * view.focal / z + 0.5 * view.width, 0.5 * view.height - y * view.focal / z
    instance = np.array(owners)[ahead]
    found = {}
    for owner in np.unique(instance).tolist():
        own = instance == owner
        u, v = column[own], row[own]
        found[int(owner)] = (float(u.min()), float(v.min()), float(u.max()), float(v.max()))
    return found


def shadow_map(shadows: list[Shadow], view: View) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Shares of direct and of sky light that are blocked on the ground, (height, width) uint8 each."""
    cast, contact = Image.new("L", view.size, 0), Image.new("L", view.size, 0)
    draw_cast, draw_contact = ImageDraw.Draw(cast), ImageDraw.Draw(contact)
    polygons = _projected([s.points for s in shadows], view)
    for shadow, outline in zip(shadows, polygons, strict=True):
        if outline is not None:
            (draw_contact if shadow.contact else draw_cast).polygon(outline, fill=shadow.strength)
    # The sun has a width and the sky is an area: cast shadows are slightly soft, contact shadows very.
    return (
        np.asarray(cast.filter(ImageFilter.BoxBlur(1))),
        np.asarray(contact.filter(ImageFilter.BoxBlur(view.width / 128))),
    )


def _projected(polygons: Sequence[Sequence[Vector]], view: View) -> list[list[int] | None]:
    """Screen outlines as flat integer lists; None for those out of view."""
    if not polygons:
        return []
    counts = [len(p) for p in polygons]
    flat = np.array([point for p in polygons for point in p], dtype=np.float64)
    points = view.camera.view(flat)
    depth = points[:, 2]
    safe = np.where(depth < NEAR, 1.0, depth)
    screen = np.empty((len(points), 2))
    screen[:, 0] = points[:, 0] * view.focal / safe + 0.5 * view.width
    screen[:, 1] = 0.5 * view.height - points[:, 1] * view.focal / safe
    pixels = np.rint(np.clip(screen, -_FAR_AWAY, _FAR_AWAY)).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    nearest = np.minimum.reduceat(depth, starts)
    farthest = np.maximum.reduceat(depth, starts)
    low = np.minimum.reduceat(pixels, starts)
    high = np.maximum.reduceat(pixels, starts)
    outside = (high < 0).any(axis=1) | (low[:, 0] >= view.width) | (low[:, 1] >= view.height)
    outlines: list[list[int] | None] = []
    for k, (start, count) in enumerate(zip(starts.tolist(), counts, strict=True)):
        if farthest[k] < NEAR or (nearest[k] >= NEAR and outside[k]):
            outlines.append(None)
        elif nearest[k] >= NEAR:
            outlines.append(pixels[start : start + count].ravel().tolist())
        else:
            outlines.append(_clipped(points[start : start + count], view))
    return outlines


def _clipped(polygon: Float64, view: View) -> list[int]:
    """A polygon's part beyond the near plane (Sutherland and Hodgman 1974), projected."""
    kept: list[int] = []
    points = polygon.tolist()
    for a, b in zip(points, points[1:] + points[:1], strict=True):
        inside_a, inside_b = a[2] >= NEAR, b[2] >= NEAR
        ends = [a] if inside_a else []
        if inside_a != inside_b:
            t = (NEAR - a[2]) / (b[2] - a[2])
            ends.append([a[i] + t * (b[i] - a[i]) for i in range(2)] + [NEAR])
        for x, y, z in ends:
            kept.append(round(min(max(x * view.focal / z + 0.5 * view.width, -_FAR_AWAY), _FAR_AWAY)))
            kept.append(round(min(max(0.5 * view.height - y * view.focal / z, -_FAR_AWAY), _FAR_AWAY)))
    return kept


def _paste_leaves(image: Image.Image, row: tuple[float, ...], leaves: Leaves, view: View, noise: Banks) -> None:
    """Write the surface number wherever the ragged silhouette covers a pixel."""
    x, y, z = view.camera.view(np.array([row[0:3]], dtype=np.float64))[0].tolist()
    if z < 4 * NEAR:
        return
    scale = view.focal / z
    centre_x, centre_y = 0.5 * image.width + x * scale, 0.5 * image.height - y * scale
    grown = 1.0 + leaves.ragged
    left = max(0, int(centre_x + scale * min(u - grown * w for u, _, w, _ in leaves.blobs)))
    right = min(image.width, int(centre_x + scale * max(u + grown * w for u, _, w, _ in leaves.blobs)) + 2)
    top = max(0, int(centre_y - scale * max(v + grown * h for _, v, _, h in leaves.blobs)))
    bottom = min(image.height, int(centre_y - scale * min(v - grown * h for _, v, _, h in leaves.blobs)) + 2)
    if right <= left or bottom <= top:
        return
    u = ((np.arange(left, right, dtype=np.float32) + np.float32(0.5 - centre_x)) / np.float32(scale))[None, :]
    v = ((np.float32(centre_y - 0.5) - np.arange(top, bottom, dtype=np.float32)) / np.float32(scale))[:, None]
    field = np.full((bottom - top, right - left), -9.0, np.float32)
    for bu, bv, bw, bh in leaves.blobs:
        du, dv = (u - np.float32(bu)) / np.float32(bw), (v - np.float32(bv)) / np.float32(bh)
        np.maximum(field, 1.0 - (du * du + dv * dv), out=field)
    # Twigs (coarse) and leaves (fine): 25 and 40 texels per metre, mip level by distance.
    tu, tv = u + np.float32(row[14]), v + np.float32(row[15])
    grid_u, grid_v = np.broadcast_arrays(tu, tv)
    twigs = noise.sample(COARSE, grid_u * 25, grid_v * 25, 25.0 / scale)
    tips = noise.sample(FINE, grid_u * 40, grid_v * 40, 40.0 / scale)
    covered = field + np.float32(leaves.ragged) * (twigs + np.float32(0.6) * tips) > np.float32(0.12)
    mask = Image.fromarray(covered.astype(np.uint8) * np.uint8(255))
    image.paste(leaves.surface, (left, top), mask)
