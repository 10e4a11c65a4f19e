"""The 708 fixed candidate captions that the bundled scorer chooses from: 12 colours × 59 objects."""

from __future__ import annotations

_COLOURS = "red, green, blue, yellow, orange, purple, pink, brown, black, white, gray, cyan"
_OBJECTS = """
    cube, sphere, cylinder, cone, pyramid, torus, capsule, star, heart, mug, bowl, vase, bottle, chair, table,
    stool, sofa, bed, lamp, mushroom, snowman, tree, christmas tree, house, car, truck, rocket, airplane, boat,
    duck, chicken, dog, cat, horse, pig, elephant, rabbit, teddy bear, penguin, fish, robot, apple, pear,
    pumpkin, banana, ice cream, cake, donut, candle, barrel, hat, cactus, flower, umbrella, hammer, sword,
    gift box, teapot, castle
"""

COLOURS = tuple(name.strip() for name in _COLOURS.split(","))
"""Main colours of the bundled models."""

OBJECTS = tuple(name.strip() for name in _OBJECTS.split(","))
"""Kinds of object that the bundled models were trained on."""


def candidates() -> list[str]:
    """The captions "a <colour> <object>", object by object; their order is fixed."""
    return [f"a {colour} {thing}" for thing in OBJECTS for colour in COLOURS]


def caption_of(prompt: str) -> str | None:
    """The candidate that a prompt spells, ignoring case and spaces; None where it is none of them."""
    text = " ".join(prompt.lower().split())
    return text if text in candidates() else None
