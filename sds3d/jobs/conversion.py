"""What a stage starts from: the scene of the stage before it, as its own representation can take it."""

from __future__ import annotations

from collections.abc import Iterator

from sds3d.representations import particles
from sds3d.representations.base import Representation, RepresentationOptions

from ..config.kinds import module_of
from ..core.errors import ConfigError
from ..core.streams import Streams
from .schema import REPRESENTATIONS, RunConfig


def check_stages(config: RunConfig) -> None:
    """Ask of every two stages whether the second can start from the first; nothing is loaded.

    Raises:
        ConfigError: it cannot; the text says what it could start from.
    """
    stages = config.in_stages()
    for index in range(1, len(stages)):
        before, after = stages[index - 1], stages[index]
        try:
            passed_on(before.representation, after.representation)
        except ConfigError as error:
            raise ConfigError(
                f"starts from the stage {config.stages[index - 1].name!r}: {error.message}",
                key=f"stages[{index}].representation",
                hint=error.hint,
            ) from error
        if after.particles not in (1, before.particles):
            raise ConfigError(
                f"has {after.particles} particles, and the stage before it {before.particles}.",
                key=f"stages[{index}].particles",
                hint=f"Give it {before.particles}, or 1, which goes on from the first particle.",
            )


def passed_on(source: RepresentationOptions, target: RepresentationOptions) -> str:
    """What is handed over: the source's own kind (the scene as it is), or a form of asset: mesh, splats, picture.

    Raises:
        ConfigError: the target starts from nothing that the source offers.
    """
    here, there = source.kind, target.kind  # type: ignore[attr-defined]
    module = module_of(REPRESENTATIONS.package, there, REPRESENTATIONS.group)
    takes = target.starts_from if hasattr(module, "from_asset") else ()
    for way in takes:
        if way == here or way in source.forms:
            return way
    offered = ", ".join(sorted(source.forms))
    raise ConfigError(
        f"{there} cannot be made from {here}, which gives {offered}.",
        hint=f"{there} starts from {', '.join(takes)}."
        if takes
        else f"{there} starts from nothing but itself.",
    )


def converted(source: Representation, options: RepresentationOptions, config: RunConfig) -> Representation:
    """The scene of a stage, made from that of the stage before it; particles one by one.

    Args:
        source: on the CPU. options: the source's. config: of the stage that begins.

    Raises:
        ConfigError: see `passed_on`. AssetError: nothing is there to start from, such as a scene that is all fog.
    """
    target = config.representation
    way = passed_on(options, target)
    module = module_of(REPRESENTATIONS.package, target.kind, REPRESENTATIONS.group)  # type: ignore[attr-defined]
    members: Iterator[Representation] = iter(particles.members_of(source))

    def start(streams: Streams) -> Representation:
        member = next(members)
        given = member if way == options.kind else member.to_asset(way)  # type: ignore[attr-defined]
        return module.from_asset(given, target, streams)

    return particles.create(config.particles, start, Streams(config.seed))
