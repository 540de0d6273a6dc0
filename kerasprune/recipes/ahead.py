"""What of a run is still to be trained, and how long that takes at the speed of the fit under way."""

from __future__ import annotations

from dataclasses import dataclass

from kerasprune.recipes.schema import Recipe
from kerasprune.reports.ratio import duration

FITS = ("train", "prune", "finetune")


@dataclass(frozen=True)
class Ahead:
    """The fits that follow a stage.

    Args:
        epochs: Their epochs, of those whose number is known.
        whole: Whether all are known: a callback may train as long as its own schedule takes, and what judges slim
            models takes several fits, or searches.
    """

    epochs: int
    whole: bool

    @classmethod
    def of(cls, recipe: Recipe, stage: str) -> Ahead:
        """Returns what follows a stage of a recipe.

        Example:
            >>> from kerasprune.recipes import loader
            >>> recipe = loader.load("digits-greg1")
            >>> Ahead.of(recipe, "train"), Ahead.of(recipe, "finetune")
            (Ahead(epochs=30, whole=False), Ahead(epochs=0, whole=True))
        """
        later = [_epochs(recipe, name) for name in FITS[FITS.index(stage) + 1 :]]
        several = stage == "prune" and recipe.prune is not None and recipe.prune.judged is not None
        return cls(sum(filter(None, later)), None not in later and not several)

    def said(self, here: int, seconds: float) -> str:
        """Returns how long the training of the run still takes, nothing where it is over.

        Args:
            here: Epochs that are left of the fit under way.
            seconds: How long an epoch of it takes; those that follow are taken to be as long.

        Example:
            >>> Ahead(epochs=30, whole=True).said(10, 6.0), Ahead(epochs=0, whole=True).said(0, 6.0)
            ('run: about 4 min of training left', '')
        """
        left = (here + self.epochs) * seconds
        if not here + self.epochs:
            return ""
        return f"run: {'about' if self.whole else 'at least'} {duration(left)} of training left"


def _epochs(recipe: Recipe, stage: str) -> int | None:
    """Returns how many epochs a stage trains, `None` where that is not known before."""
    spec = getattr(recipe, stage)
    if spec is None:
        return 0
    if stage == "prune":
        at_once = spec.callback is None and spec.judged is None
        return 0 if at_once else spec.epochs if spec.judged is None else None
    return spec.epochs
