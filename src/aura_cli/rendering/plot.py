"""Plot: metrics as a picture, drawn by matplotlib without a screen."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aura_contracts.errors import InvalidInput

if TYPE_CHECKING:
    from aura_engine import Metrics

_FORMATS = ("svg", "png")
_INCHES = (12.0, 7.0)
_SHARE_LIMITS = (0.0, 1.05)


def require_drawable(file: str) -> None:
    """Raise `InvalidInput` unless the file's name says a known format, and the library is installed."""
    _format_of(file)
    if find_spec("matplotlib") is None:
        remedy = 'install the extra: pip install "aura-core[plot]"'
        raise InvalidInput(field="--plot", reason="the Python package matplotlib is not installed", remedy=remedy)


def draw(metrics: "Metrics", file: str) -> None:
    """Draw metrics into a file, as SVG or PNG by its name. Raises `InvalidInput` if it cannot be written."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "aura", "svg.fonttype": "none"}):  # the same metrics give the same file
        figure = Figure(figsize=_INCHES, layout="constrained")
        _fill(figure.subplots(2, 3).flat, metrics)
        figure.suptitle(f"AURA, {metrics.since:%Y-%m-%d} to {metrics.until:%Y-%m-%d}")
        named: dict[str, Any] = {"Date": None} if _format_of(file) == "svg" else {}
        try:
            figure.savefig(file, format=_format_of(file), metadata=named)
        except (OSError, ValueError) as error:
            reason = f"{file!r} cannot be written: {getattr(error, 'strerror', None) or error}"
            raise InvalidInput(field="--plot", reason=reason, remedy="give another file") from error


def _format_of(file: str) -> str:
    suffix = Path(file).suffix.lower().removeprefix(".")
    if suffix not in _FORMATS:
        raise InvalidInput(field="--plot", reason=f"{file!r} ends with neither", remedy="end it with .svg or .png")
    return suffix


def _fill(axes: Any, metrics: "Metrics") -> None:
    created, times, use, accepted, completed, errors = axes
    days = [one.day for one in metrics.days]
    created.bar(days, [one.created for one in metrics.days])
    _label(created, "Tasks created per day", dated=True)
    hours = [(one.kind, one.time_to_approval / 3600) for one in metrics.kinds if one.time_to_approval is not None]
    _bars(times, hours, "Average time to approval, in hours")
    shares = [(one.agent_id[-8:], one.utilization) for one in metrics.agents if one.utilization is not None]
    _bars(use, shares, "Agent utilization", limits=_SHARE_LIMITS)
    judged = [one for one in metrics.days if one.decided]
    accepted.plot([one.day for one in judged], [one.approved / one.decided for one in judged], marker="o")
    _label(accepted, "Approval acceptance rate", dated=True, limits=_SHARE_LIMITS)
    ended = [one for one in metrics.days if one.completed + one.failed + one.cancelled]
    rates = [one.completed / (one.completed + one.failed + one.cancelled) for one in ended]
    completed.plot([one.day for one in ended], rates, marker="o")
    _label(completed, "Task completion rate", dated=True, limits=_SHARE_LIMITS)
    failing = [(one.agent_type, one.error_rate) for one in metrics.agent_types if one.error_rate is not None]
    _bars(errors, failing, "Error rate by agent type", limits=_SHARE_LIMITS)


def _bars(axis: Any, values: list[tuple[str, float]], title: str, *, limits: tuple[float, float] | None = None) -> None:
    axis.bar(range(len(values)), [value for _, value in values])
    axis.set_xticks(range(len(values)), [name.replace("$", r"\$") for name, _ in values])
    _label(axis, title, limits=limits)


def _label(axis: Any, title: str, *, dated: bool = False, limits: tuple[float, float] | None = None) -> None:
    axis.set_title(title)
    axis.tick_params(axis="x", labelrotation=30)
    if dated:
        axis.xaxis_date()
    if limits is not None:
        axis.set_ylim(*limits)
    if not axis.has_data():
        axis.text(0.5, 0.5, "nothing yet", ha="center", va="center", transform=axis.transAxes)
