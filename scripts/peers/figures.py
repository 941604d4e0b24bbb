"""The figures of a comparison, each beside its target."""

import math
from dataclasses import dataclass

COLUMNS = ("part", "data", "figure", "value", "unit", "target", "reached", "note")


@dataclass
class Figure:
    """One number. `least` and `most` bound its target range; a number without either is for
    information."""

    part: str
    data: str
    what: str
    value: float
    unit: str = "x"
    least: float | None = None
    most: float | None = None
    note: str = ""

    @property
    def target(self):
        bounds = (
            f">= {self.least:g}" if self.least is not None else "",
            f"<= {self.most:g}" if self.most is not None else "",
        )
        return " and ".join(bound for bound in bounds if bound)

    @property
    def reached(self):
        if self.least is None and self.most is None:
            return ""
        low, high = -math.inf if self.least is None else self.least, math.inf if self.most is None else self.most
        return "yes" if low <= self.value <= high else "no"

    def row(self):
        return (self.part, self.data, self.what, f"{self.value:.4g}", self.unit, self.target, self.reached, self.note)

    def line(self):
        judged = f"{self.target:>17}  {self.reached:<3}" if self.target else " " * 22
        text = f"{self.data:<34}  {self.what:<53} {self.value:>8.4g} {self.unit:<6} {judged}  {self.note}"
        return text.rstrip()
