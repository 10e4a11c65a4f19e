"""What a guidance asks of a stage, checked before anything runs."""

from __future__ import annotations

from sds3d.guidance.base import Needs
from sds3d.representations.base import Representation

from ..core.errors import ConfigError
from ..priors.base import PriorInfo

DRAWN = frozenset({"depth", "normal", "region"})
"""What a prior may look at of a render beside its picture."""


def check_sees(info: PriorInfo, representation: Representation, cameras: bool, source: bool) -> None:
    """Refuse a prior that looks at what this scene does not show.

    Args:
        cameras: whether views have any. source: whether there are views of an original that is being edited.

    Raises:
        ConfigError: says what is missing.
    """
    missing = (info.maps & DRAWN) - (representation.provides if cameras else frozenset())
    if missing:
        raise ConfigError(
            f"the prior {info.name!r} looks at the {' and '.join(sorted(missing))} of each view, which this "
            "representation does not give.",
            key="prior",
        )
    if "source" in info.maps and not source:
        raise ConfigError(
            f"the prior {info.name!r} looks at an original that is edited, and there is none in this run.",
            key="prior",
            hint="Edits begin with `sds3d edit`.",
        )


def check_medium(media: str, representation: Representation) -> None:
    """Refuse a prior of sounds for a scene that makes none, and the other way round.

    Args:
        media: PriorInfo.media.

    Raises:
        ConfigError: says which of the two to change.
    """
    sounds = "audio" in representation.provides
    if sounds == (media == "audio"):
        return
    raise ConfigError(
        "makes a sound, and this prior judges pictures."
        if sounds
        else "makes pictures, and this prior hears sounds.",
        key="representation",
        hint="Take prior=audio, or another prior that hears."
        if sounds
        else "Take representation=fm, impact, waveform or separation, or a prior of pictures.",
    )


def check_needs(
    needs: Needs, representation: Representation, cameras: bool, source: bool = False, name: str = ""
) -> None:
    """Refuse a guidance that this scene cannot serve.

    Args:
        cameras: whether views have any; noise on a surface asks for nothing where there are none.
        source: whether there are views of an original that is being edited. name: of the term, for the message.

    Raises:
        ConfigError: says what is missing and what to take instead.
    """
    provides, term = representation.provides, f"the term {name!r}: " if name else ""
    asked = needs.media if cameras else needs.media & {"audio"}
    missing = asked - provides
    if "audio" in missing:
        raise ConfigError(
            f"{term}the method compares sounds, and this representation gives only {', '.join(sorted(provides))}.",
            key="guidance",
            hint="Take representation=fm, impact, waveform or separation, or another method.",
        )
    if missing:
        raise ConfigError(
            f"{term}the method reads the {' and '.join(sorted(missing))} of the renders, and this representation "
            f"gives only {', '.join(sorted(provides))}.",
            key="guidance",
            hint="Take another representation, or where the method has a choice guidance.noise=fixed.",
        )
    if needs.pixels and "z" in provides:
        raise ConfigError(
            f"{term}the method changes the gradient of the rendered picture, and this representation is optimised in "
            "the prior's latents, where no picture is rendered.",
            key="guidance",
            hint="Set representation.space=pixels, or leave out guidance.image_post and guidance.image_loss.",
        )
    if needs.edits and not source:
        raise ConfigError(
            f"{term}the method edits: it compares with views of an original, and there is none in this run.",
            key="guidance",
            hint="Methods that make something new: sds, csd, ism, vsd and others (`sds3d methods`).",
        )
