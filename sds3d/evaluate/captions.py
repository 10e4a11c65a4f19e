"""The fixed candidate captions that the bundled judge chooses from: 12 colours × 117 objects."""

from __future__ import annotations

from functools import cache

from ..objects.captions import with_article
from ..objects.colours import NAMED

_OBJECTS = """
    cube, sphere, cylinder, cone, pyramid, torus, capsule, star, heart, mug, teapot, bowl, vase, bottle,
    basket, wine glass, table, chair, stool, sofa, bed, lamp, bench, clock, car, truck, bus, train,
    helicopter, airplane, rocket, boat, hot air balloon, hammer, sword, key, umbrella, anchor, shield,
    guitar, drum, piano, bell, gift box, barrel, candle, camera, television, hydrant, traffic cone, hat,
    crown, boot, backpack, letter a, letter h, letter t, duck, chicken, penguin, owl, dog, cat, horse, pig,
    elephant, rabbit, cow, sheep, giraffe, panda, fox, frog, turtle, snail, snake, dinosaur, fish, whale,
    shark, octopus, butterfly, bird, dragon, apple, pear, pumpkin, banana, ice cream, cake, donut,
    strawberry, carrot, watermelon, hamburger, egg, lollipop, mushroom, tree, christmas tree, cactus,
    flower, palm tree, sunflower, house, castle, tower, windmill, tent, bridge, snowman, robot, teddy bear,
    astronaut, ghost, dice, pawn
"""

COLOURS = tuple(NAMED)
"""Main colours of the bundled models."""

OBJECTS = tuple(" ".join(name.split()) for name in _OBJECTS.split(","))
"""Kinds of object that prior64 and the judge were trained on."""


@cache
def candidates() -> tuple[str, ...]:
    """The captions "a <colour> <object>", object by object; their order is fixed."""
    return tuple(with_article(f"{colour} {thing}") for thing in OBJECTS for colour in COLOURS)


def caption_of(prompt: str) -> str | None:
    """The candidate that a prompt spells, ignoring case, spaces and "a" for "an"; None where it is none of them."""
    article, _, said = " ".join(prompt.lower().split()).partition(" ")
    text = with_article(said) if article in ("a", "an") and said else ""
    return text if text in candidates() else None
