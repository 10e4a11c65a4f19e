"""A rule written as text: "G(7.5) - EPS", "C - U", "G - null@s", "w1 * (C - U) + w2 * (U - NEG)".

    sum     := [-] product { (+ | -) product }
    product := [number or name *] atom
    atom    := ( sum ) | symbol [@ state]
    symbol  := EPS | C | U | NEG | a branch (y, null, neg, src) | G [( scale [, positive [, negative]] )]
             | TRIPLE( scale, image scale ) | CRITIC [( blind )]

G is the guided prediction, by default with the method's cfg_scale; TRIPLE is InstructPix2Pix's, of the branches y, src
and null; names are the recipe's `values`. The text is parsed, never run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sds3d.config.suggest import nearest
from sds3d.core.errors import ConfigError
from sds3d.core.schedules import Schedule, constant

from .predictions import Combiner, Epsilon, Guided, Learned, Plain, Symbol, Transform
from .rules import Linear, of
from .triple import Triple

BRANCHES = {"C": "y", "U": "null", "NEG": "neg", "y": "y", "null": "null", "neg": "neg", "src": "src"}
SYMBOLS = ("EPS", "G", "TRIPLE", "CRITIC", *BRANCHES)

_TOKEN = re.compile(r"\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)|([A-Za-z_]\w*)|(.))")


@dataclass(frozen=True)
class Words:
    """What the names in a rule mean.

    Args:
        guide: (scale, positive branch, negative branch) -> combiner; None as scale for the method's own.
        transforms: of every guided prediction. values: name -> number that may change over the run.
    """

    guide: Callable[[Schedule | None, str, str], Combiner]
    transforms: tuple[Transform, ...]
    values: Mapping[str, Schedule]


def parse_rule(text: str, words: Words) -> Linear:
    """The rule that the text describes.

    Raises:
        ConfigError: the text is no rule; it says where, and what was expected.
    """
    parser = _Parser(text, words)
    rule = parser.sum()
    if parser.here is not None:
        parser.fail("expected + or - or the end")
    unused = sorted(set(words.values) - parser.used)
    if unused:
        raise ConfigError(f"the rule {text!r} never uses {', '.join(unused)}.", key="guidance.values")
    return rule


class _Parser:
    """Recursive descent over the tokens of one rule."""

    def __init__(self, text: str, words: Words):
        self.text, self.words, self.used = text, words, set[str]()
        self.tokens = [
            (m.group(1) or m.group(2) or m.group(3), m.end()) for m in _TOKEN.finditer(text.strip())
        ]
        self.at = 0

    @property
    def here(self) -> str | None:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else None

    def fail(self, expected: str, hint: str = "") -> None:
        """Raise, showing what was read so far."""
        end = self.tokens[self.at - 1][1] if self.at else 0
        found = f"found {self.here!r}" if self.here is not None else "it ends"
        raise ConfigError(
            f"{self.text!r} is no rule: after {self.text.strip()[:end]!r} {expected}, but {found}.",
            key="guidance.rule",
            hint=hint,
        )

    def take(self, token: str) -> bool:
        """Pass a token if it is there."""
        if self.here != token:
            return False
        self.at += 1
        return True

    def need(self, token: str) -> None:
        if not self.take(token):
            self.fail(f"expected {token!r}")

    def name(self, what: str) -> str:
        if self.here is None or not re.match(r"[A-Za-z_]", self.here):
            self.fail(f"expected {what}")
        token = str(self.here)
        self.at += 1
        return token

    def sum(self) -> Linear:
        total = -self.product() if self.take("-") else self.product()
        while self.here in ("+", "-"):
            total = total + self.product() if self.take("+") else self._minus(total)
        return total

    def _minus(self, total: Linear) -> Linear:
        self.need("-")
        return total - self.product()

    def product(self) -> Linear:
        factor: float | Schedule = 1.0
        scaled = False
        while self._is_factor():
            value = self.scale()
            if isinstance(value, Schedule) and scaled:
                self.fail("a named value has to come first and alone")
            factor, scaled = value if not scaled else float(factor) * float(value), True  # type: ignore[arg-type]
            self.need("*")
        atom = self.atom()
        return factor * atom if scaled else atom

    def _is_factor(self) -> bool:
        return self.here is not None and (
            self.here[0].isdigit() or self.here[0] == "." or self.here in self.words.values
        )

    def scale(self) -> float | Schedule:
        """A number, or the value of a name."""
        token = self.here
        if token is not None and token in self.words.values:
            self.at += 1
            self.used.add(token)
            return self.words.values[token]
        negative = self.take("-")
        if self.here is None or not (self.here[0].isdigit() or self.here[0] == "."):
            self.fail("expected a number or one of `values`")
        number = float(str(self.here))
        self.at += 1
        return -number if negative else number

    def atom(self) -> Linear:
        if self.take("("):
            inside = self.sum()
            self.need(")")
            return inside
        word = self.name("a symbol, such as G, C, U, NEG, EPS")
        symbol = self.symbol(word)
        if self.take("@"):
            symbol = replace(symbol, at=self.name("the name of a state, such as s"))
        return of(symbol)

    def symbol(self, word: str) -> Symbol:
        if word == "EPS":
            return Epsilon()
        if word == "CRITIC":
            return Learned(told=not self._blind())
        if word == "G":
            return Guided(self.combiner(), self.words.transforms)
        if word == "TRIPLE":
            return Guided(self.triple(), self.words.transforms)
        if word in BRANCHES:
            return Plain(BRANCHES[word])
        self.at -= 1
        close = nearest(word, [*SYMBOLS, *self.words.values])
        self.fail(
            f"expected one of {', '.join(SYMBOLS)} or a name among `values`",
            f"Did you mean {close}?" if close else "",
        )
        return Epsilon()  # not reached: fail raises

    def _blind(self) -> bool:
        if not self.take("("):
            return False
        self.need("blind")
        self.need(")")
        return True

    def triple(self) -> Triple:
        """The scales of a TRIPLE."""
        self.need("(")
        words = self.schedule()
        self.need(",")
        picture = self.schedule()
        self.need(")")
        return Triple(words, picture)

    def schedule(self) -> Schedule:
        """As `scale`, a number as a constant."""
        found = self.scale()
        return found if isinstance(found, Schedule) else constant(found)

    def combiner(self) -> Combiner:
        if not self.take("("):
            return self.words.guide(None, "y", "null")
        scale = self.schedule()
        branches = ["y", "null"]
        for k in range(2):
            if self.take(","):
                word = self.name("a branch, such as src")
                if word not in BRANCHES:
                    self.at -= 1
                    self.fail(f"expected one of {', '.join(BRANCHES)}")
                branches[k] = BRANCHES[word]
        self.need(")")
        return self.words.guide(scale, *branches)
