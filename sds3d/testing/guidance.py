"""Checks that a guidance of one's own keeps the promises that the loop relies on.

from sds3d.testing.guidance import check_guidance
check_guidance(my_recipe)              # a Recipe, or the name or options of an installed method
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import load, save

from sds3d.guidance.base import Guidance, State, Views
from sds3d.guidance.build import bind, build_guidance
from sds3d.guidance.recipe import Recipe
from sds3d.guidance.registry import parse

from ..core.cameras import orbit
from ..core.look import Look
from ..core.streams import Streams
from ..core.tree import join, split, tree_hash
from ..optimize.placing import place_look, place_tree
from ..priors.base import Prior, Prompts
from .small_prior import small_prior

STEPS, VIEWS = 8, 2


def views_of(prior: Prior, seed: int = 0, device: str = "cpu") -> Views:
    """Two views of an object, and of a source beside it, with every output a guidance may ask for."""
    look = place_look(
        Look(orbit([0.0, 90.0], 15.0), prior.info.size, torch.ones(VIEWS, 3)), torch.device(device)
    )
    source = _views(prior, look, seed + 1, device, None)
    return _views(prior, look, seed, device, source)


def _views(prior: Prior, look: Look, seed: int, device: str, source: Views | None) -> Views:
    streams, (height, width) = Streams(seed), prior.info.size
    draw = streams.uniform((3, height, width), "check-pictures", ids=range(VIEWS)).float().to(device)
    ones = torch.ones(VIEWS, 1, height, width, device=device)
    media = {"rgb": draw, "alpha": ones, "depth": 2.0 * ones, "normal": 0.0 * draw}
    if prior.info.media == "audio":
        draw = 0.2 * (draw[:, 0] - 0.5)
        media = {"audio": draw}
    cond = prior.condition(prior.prepare(Prompts("a red cube")), look, media)
    return Views(look, media, prior.encode(draw).detach(), cond, source, "a red cube")


def check_guidance(
    what: Recipe | str | Mapping[str, Any], prior: Prior | None = None, device: str = "cpu"
) -> Guidance:
    """Run a guidance on a small exact prior and check what the loop relies on.

    Shapes and finiteness of the cotangents; the same bits for the same (views, step, seed, state), whatever was
    asked in between; other bits for another seed or step, unless it has no noise; arguments left as they were; nothing
    drawn from torch's own generator; a state that, written and read as a checkpoint, goes on as if nothing had
    happened; and that a critic learns, on the CPU or wherever `device` is.

    Args:
        what: a recipe, or a method's name or options. prior: whom to ask, by default `small_prior()`.
        device: where views, state and the default prior lie.

    Returns:
        The guidance that was checked.

    Raises:
        AssertionError: a promise is broken; the text says which.
    """
    prior = small_prior(device=device) if prior is None else prior
    views = views_of(prior, device=device)
    guidance = (
        bind(what, prior, STEPS) if isinstance(what, Recipe) else build_guidance(parse(what), prior, STEPS)
    )
    missing = guidance.needs.branches - set(views.cond)
    assert not missing, f"needs the branches {missing}, which the views do not have"
    state = place_tree(guidance.init(Streams(0)), torch.device(device))
    _check_shapes(guidance, views, state)
    _check_purity(guidance, views, state)
    _check_learning(guidance, views, state)
    _check_state(guidance, views, state, device)
    return guidance


def _check_shapes(guidance: Guidance, views: Views, state: State) -> None:
    cotangents, _, log = guidance.guide(views, 0, Streams(0), state)
    assert cotangents, "says nothing about any tensor"
    for name, g in cotangents.items():
        judged = views.z if name == "z" else views.media[name]
        assert g.shape == judged.shape, (
            f"the cotangent of {name} is {tuple(g.shape)}, not {tuple(judged.shape)}"
        )
        assert g.device == judged.device, f"the cotangent of {name} is on {g.device}, not on {judged.device}"
        assert bool(torch.isfinite(g).all()), f"the cotangent of {name} is not finite"
        assert not g.requires_grad, f"the cotangent of {name} hangs on a graph"
    for name in ("t", "nfe"):
        assert name in log, f"the log lacks {name!r}"


def _check_purity(guidance: Guidance, views: Views, state: State) -> None:
    before, z = tree_hash(state), views.z.clone()
    first = _bits(guidance, views, 3, 0, state)
    other_step, other_seed = _bits(guidance, views, 4, 0, state), _bits(guidance, views, 3, 1, state)
    again = _bits(guidance, views, 3, 0, state)
    assert torch.equal(first, again), "the same (views, step, seed, state) gives other bits the second time"
    moved = not torch.equal(first, other_step) or not torch.equal(first, other_seed)
    assert moved, (
        "neither the step nor the seed changes anything: noise and times are not drawn from the streams"
    )
    assert tree_hash(state) == before, "guide changes the state that it was given"
    assert torch.equal(views.z, z), "guide changes the views that it was given"


def _check_learning(guidance: Guidance, views: Views, state: State) -> None:
    """What `learn` may do, and that a critic does it."""
    before, z, drawn = tree_hash(state), views.z.clone(), torch.random.get_rng_state()
    first, again = (guidance.learn(views, 3, Streams(0), state) for _ in range(2))
    assert tree_hash(first) == tree_hash(again), "learn gives another state the second time"
    assert tree_hash(state) == before, "learn changes the state that it was given"
    assert torch.equal(views.z, z), "learn changes the views that it was given"
    _bits(guidance, views, 3, 0, state)
    same = torch.equal(torch.random.get_rng_state(), drawn)
    assert same, "draws from torch's own generator, which nothing restores on resume; draw from the streams"
    if "critic" in state:
        assert tree_hash(first) != before, "the critic learns nothing"
        told = (
            _bits(guidance, views, 4, 0, one) for one in (state, guidance.learn(views, 4, Streams(0), first))
        )
        assert not torch.equal(*told), "what the critic has learned changes no answer"


def _check_state(guidance: Guidance, views: Views, state: State, device: str) -> None:
    """Two steps, the state written and read between them as in a checkpoint, against two steps straight on."""
    straight, copied = state, state
    for step in range(2):
        straight = _advanced(guidance, views, step, straight)
        copied = _advanced(guidance, views, step, _stored(copied, device))
        assert tree_hash(straight) == tree_hash(copied), (
            f"a state that was written and read goes another way at step {step}"
        )
    first, second = (_bits(guidance, views, 2, 0, s) for s in (straight, copied))
    assert torch.equal(first, second), "a state that was written and read gives other bits"


def _advanced(guidance: Guidance, views: Views, step: int, state: State) -> State:
    _, state, _ = guidance.guide(views, step, Streams(0), state)
    return guidance.learn(views, step, Streams(0), state)


def _bits(guidance: Guidance, views: Views, step: int, seed: int, state: State) -> torch.Tensor:
    cotangents, _, _ = guidance.guide(views, step, Streams(seed), state)
    return torch.cat([g.flatten() for _, g in sorted(cotangents.items())])


def _stored(tree: State, device: str) -> State:
    """The tree as it comes back from a file, on its device again."""
    try:
        tensors, plain = split(tree)
    except (TypeError, ValueError) as error:
        raise AssertionError(f"the state cannot be written: {error}") from error
    read = load(save({name: value.cpu().contiguous() for name, value in tensors.items()}))
    return place_tree(join(read, plain), torch.device(device))
