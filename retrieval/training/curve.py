"""The loss and the validation figure over the epochs, as a picture. The only module that imports matplotlib."""

import io
from collections.abc import Sequence

from retrieval.training.fit import Epoch


def draw(history: Sequence[Epoch], *, before: float, best: int) -> bytes:
    """A PNG of 1,500 × 600 pixels: loss on the left, validation success@1 on the right, with the base as a line.

    before: the figure of the base. best: the epoch that was kept; 0 is the base. Equal input gives equal bytes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), dpi=150, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    losses, figures = figure.subplots(1, 2)
    epochs = [epoch.number for epoch in history]
    losses.plot(epochs, [epoch.loss for epoch in history], marker=".")
    losses.set(title="training loss", xlabel="epoch")
    figures.plot([0, *epochs], [before, *(epoch.figure for epoch in history)], marker=".")
    figures.axhline(before, linestyle="--", color="grey", label=f"base: {before:.3f}")
    kept = max([before, *(epoch.figure for epoch in history)]) if best else before
    figures.plot([best], [kept], marker="o", linestyle="none", color="tab:red", label=f"kept: {kept:.3f}, epoch {best}")
    figures.set(title="validation success@1, mean of both directions", xlabel="epoch")
    figures.legend()
    out = io.BytesIO()
    canvas.print_png(out, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return out.getvalue()
