"""Compute `reference.json` with scipy and scikit-learn, which the tests themselves do not need.

    python -m venv reference && reference/bin/pip install scipy scikit-learn && reference/bin/python make_reference.py

Confidences are away from the ends of bins, which scikit-learn counts to the bin below.
"""

import json
import random
from pathlib import Path

import numpy as np
import scipy
import sklearn
from scipy.stats import beta
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

SHAPES = (
    *((0, 0), (1, 0), (0, 1), (20, 0), (0, 20), (3, 7), (17, 3), (18, 2), (95, 5), (50, 50)),
    *((999, 1), (1234, 4321), (99_990, 10), (7.25, 2.5)),
)
POINTS = (0.01, 0.1, 0.35, 0.5, 0.8, 0.95, 0.999)


def posterior(approved: float, refused: float) -> dict[str, object]:
    """Return Beta(1, 1) after so many verdicts."""
    a, b = 1 + approved, 1 + refused
    bounds = {"mean": beta.mean(a, b), "lower": beta.ppf(0.05, a, b), "upper": beta.ppf(0.95, a, b)}
    return {"a": a, "b": b, **bounds, "cdf": [[x, beta.cdf(x, a, b)] for x in POINTS]}


def answers(drawn: random.Random) -> list[tuple[float, bool]]:
    """Return 400 confidences and outcomes of an agent that is too sure of itself."""
    found: list[tuple[float, bool]] = []
    while len(found) < 400:
        stated = round(drawn.betavariate(4, 1.5), 4)
        if stated * 10 != round(stated * 10):
            found.append((stated, drawn.random() < 0.15 + 0.6 * stated))
    return found


def calibration(given: list[tuple[float, bool]]) -> dict[str, object]:
    """Return what the libraries say about answers."""
    stated, outcomes = np.array([one for one, _ in given]), np.array([int(yes) for _, yes in given])
    rates, means = calibration_curve(outcomes, stated, n_bins=10, strategy="uniform")
    counts = np.unique((stated * 10).astype(int), return_counts=True)[1]
    bins = [
        {"answers": int(n), "confidence": mean, "approved": rate}
        | {key: beta.ppf(p, 1 + rate * n, 1 + n - rate * n) for key, p in (("lower", 0.05), ("upper", 0.95))}
        for n, mean, rate in zip(counts, means, rates, strict=True)
    ]
    return {
        "brier": brier_score_loss(outcomes, stated),
        "reliability": (counts * (means - rates) ** 2).sum() / len(given),
        "resolution": (counts * (rates - outcomes.mean()) ** 2).sum() / len(given),
        "uncertainty": float(np.var(outcomes)),
        "calibration_error": (counts * abs(means - rates)).sum() / len(given),
        "bins": bins,
        "answers": given,
    }


if __name__ == "__main__":
    made_with = {"numpy": np.__version__, "scipy": scipy.__version__, "sklearn": sklearn.__version__}
    found = {
        "made_with": made_with,
        "posteriors": [posterior(*shape) for shape in SHAPES],
        "calibration": calibration(answers(random.Random(12))),
    }
    text = json.dumps(found, default=float)
    rounded = json.loads(text, parse_float=lambda digits: float(f"{float(digits):.10g}"))
    Path(__file__).with_name("reference.json").write_text(json.dumps(rounded, indent=1) + "\n")
