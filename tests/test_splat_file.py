"""asset.3dgs.ply shows in another program what the run showed: read by plyfile and the documented layout alone."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plyfile import PlyData
from sds3d.representations.raster.gaussians import rasterize_gaussians

from sds3d import assetio
from sds3d.core.assets import Splats
from sds3d.core.cameras import turntable
from sds3d.core.streams import Streams


def some_splats(seed: int, count: int, degree: int) -> Splats:
    """Random Gaussians in a ball."""
    draw = Streams(seed).normal
    k = (degree + 1) ** 2
    rotations = draw((count, 4), "q")[0]
    return Splats(
        means=0.3 * draw((count, 3), "m")[0],
        scales=0.1 * torch.exp(0.3 * draw((count, 3), "s")[0]),
        rotations=torch.nn.functional.normalize(rotations, dim=-1),
        opacities=torch.sigmoid(draw((count,), "o")[0]),
        sh=0.4 * draw((count, k, 3), "c")[0],
    )


def picture(means, scales, rotations, opacities, sh):
    """(4, 3, 24, 24) over grey."""
    look = rasterize_gaussians(
        means, scales, rotations, opacities, sh, turntable(4), (24, 24), torch.full((4, 3), 0.5)
    )
    return look.rgb


@given(seed=st.integers(0, 999), count=st.integers(1, 40), degree=st.integers(0, 3))
@settings(max_examples=10)
def test_the_file_renders_the_same_picture(tmp_path_factory, seed, count, degree):
    splats = some_splats(seed, count, degree)
    path = tmp_path_factory.mktemp("ply") / "asset.3dgs.ply"
    assetio.write(splats, path, "3dgs")
    row = PlyData.read(path)["vertex"]

    def columns(*names):
        return torch.from_numpy(np.stack([row[n] for n in names], -1).astype(np.float32))

    rest = (degree + 1) ** 2 - 1
    higher = columns(*(f"f_rest_{i}" for i in range(3 * rest))) if rest else torch.zeros(count, 0)
    read = picture(
        columns("x", "y", "z"),
        columns("scale_0", "scale_1", "scale_2").exp(),
        columns("rot_0", "rot_1", "rot_2", "rot_3"),  # w, x, y, z
        columns("opacity")[:, 0].sigmoid(),
        torch.cat(
            [
                columns("f_dc_0", "f_dc_1", "f_dc_2")[:, None],
                higher.reshape(count, 3, rest).transpose(1, 2),  # channel by channel
            ],
            dim=1,
        ),
    )
    shown = picture(splats.means, splats.scales, splats.rotations, splats.opacities, splats.sh)
    assert (read - shown).abs().max() < 1e-4
    assert (shown - 0.5).abs().max() > 1e-3  # something is to be seen
