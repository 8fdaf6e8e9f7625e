"""What a run's figures look like (docs/model.md names each), with the undefined cases: pages are tested on them.

`test_a_real_run_has_these_figures` keeps them equal in shape to what training writes.
"""

from copy import deepcopy

TOO_FEW = "too_few"
NO_SAMPLE = "no_sample"


def quantity(value: float | None, low: float | None = None, high: float | None = None, n: int = 412, reason="") -> dict:
    return {"value": value, "low": low, "high": high, "n": n, "reason": reason}


def undefined(reason: str = TOO_FEW, n: int = 0) -> dict:
    return quantity(None, n=n, reason=reason)


def metrics(ap: float, low: float, high: float, *, n: int = 412, n_positive: int = 88, auc: float = 0.91) -> dict:
    return {
        "ap": quantity(ap, low, high, n),
        "auc": quantity(auc, auc - 0.03, min(auc + 0.03, 1), n),
        "brier": quantity(0.021, 0.017, 0.026, n),
        "log_loss": quantity(0.084, 0.07, 0.1, n),
        "recall_at_budget": quantity(0.57, 0.46, 0.68, n_positive),
        "precision_at_k": quantity(0.56, 0.47, 0.65, 116),
        "budget": 1810,
        "k": 1810,
        "n": n,
        "n_positive": n_positive,
        "prevalence": 0.016,
    }


def no_metrics(reason: str, n: int = 0) -> dict:
    names = ("ap", "auc", "brier", "log_loss", "recall_at_budget", "precision_at_k")
    return {name: undefined(reason, n) for name in names} | {
        "budget": 0, "k": 0, "n": n, "n_positive": 0, "prevalence": None,
    }  # fmt: skip


def rung(key: str, negatives: str, judged: dict, baselines: tuple[float, float, float], **fields) -> dict:
    n, n_positive = judged["n"], judged["n_positive"]
    return {
        "key": key,
        "negatives": negatives,
        "is_optimistic": key == "random",
        "n_groups": {"sample": 0, "areas": 12, "blocks": 96, "random": 10}.get(key, 1),
        "metrics": judged,
        "baselines": {
            name: metrics(ap, ap * 0.7, ap * 1.3, n=n, n_positive=n_positive, auc=auc)
            for (name, auc), ap in zip(
                (("prevalence", 0.5), ("interpolation", 0.7), ("colour", 0.66)), baselines, strict=True
            )
        },
        "any_mining": metrics(0.55, 0.46, 0.63, n=n, n_positive=n_positive + 9),
        "reason": "",
    } | fields


FIGURES = {
    "n_cells": 110_205,
    "n_labelled": 1444,
    "n_positive": 425,
    "n_negative": 1019,
    "n_unlabelled": 12_556,
    "n_withheld": 212,
    "n_left_out": 31,
    "left_out_by_source": [{"source": "orbita", "reason": "no_right", "n_labels": 31, "n_cells": 4}],
    "penalty": {
        "path": [10.0**k for k in range(-2, 6)],
        "loss": [0.9, 0.8, 0.7, 0.55, 0.48, 0.52, 0.6, 0.8],
        "chosen": 100.0,
        "at_edge": False,
    },
    "blocks": {"size_km": 10, "buffer_km": 2, "n": 96},
    "heads": ["artisanal", "any_mining"],
    "ladder": [
        rung("sample", "all_searched", metrics(0.52, 0.43, 0.61), (0.016, 0.22, 0.08)),
        rung("areas", "all_searched", metrics(0.41, 0.31, 0.52, n=1444, n_positive=425, auc=0.86), (0.02, 0.09, 0.07)),
        rung("blocks", "random", metrics(0.49, 0.42, 0.57, n=1300, n_positive=425, auc=0.9), (0.02, 0.19, 0.08)),
        rung("blocks", "hard", metrics(0.44, 0.35, 0.53, n=569, n_positive=425, auc=0.83), (0.02, 0.17, 0.08)),
        rung("random", "random", metrics(0.68, 0.64, 0.72, n=1444, n_positive=425, auc=0.95), (0.02, 0.47, 0.09)),
        rung(
            "elsewhere", "all_searched", metrics(0.2, 0.05, 0.4, n=29, n_positive=6, auc=0.7), (0.02, 0.1, 0.05),
            origin={"run": "5d1b2c68-2f5c-4e8d-a2a8-2f3f6c1f0b11", "project": 0, "number": 3}, any_mining=None,
        ),
    ],
    "reliability": {
        "bins": [
            {"mean_score": score, "share": quantity(share, low, high, n)}
            for score, share, low, high, n in (
                (0.02, 0.02, 0.01, 0.04, 208), (0.07, 0.05, 0.02, 0.13, 61), (0.14, 0.13, 0.06, 0.25, 46),
                (0.23, 0.27, 0.16, 0.43, 40), (0.36, 0.33, 0.2, 0.5, 36), (0.5, 0.56, 0.39, 0.72, 32),
                (0.66, 0.59, 0.41, 0.74, 27), (0.84, 0.9, 0.71, 0.97, 21),
            )
        ],
        "slope": quantity(0.94, 0.82, 1.06),
        "intercept": quantity(-0.08, -0.25, 0.09),
        "ece": 0.03,
        "method": "platt",
    },
    "strata": [
        {
            "by": by, "level": level, "n": n, "n_positive": n_positive,
            "recall": quantity(recall, low, high, n_positive),
            "fpr": quantity(fpr, max(fpr - 0.02, 0), fpr + 0.05, n - n_positive),
            "auc": quantity(0.9, 0.85, 0.94, n), "p_value": p, "p_value_fpr": 0.02,
        }
        for by, level, n, n_positive, recall, low, high, fpr, p in (
            ("region", "Kessou", 220, 61, 0.7, 0.57, 0.8, 0.04, 0.31),
            ("region", "Haut-Wandara", 164, 27, 0.5, 0.32, 0.68, 0.03, 0.31),
            ("formality", "licensed", 88, 50, 0.88, 0.76, 0.95, 0.04, 0.08),
            ("size", "under_025", 40, 31, 0.84, 0.67, 0.93, 0.33, 0.01),
            ("terrain", "river plain", 60, 40, 0.8, 0.64, 0.9, 0.2, 0.04),
            ("distance_to_commercial", "under_2_km", 41, 31, 0.84, 0.67, 0.93, 0.33, 0.01),
        )
    ] + [
        {
            "by": "mineral", "level": "gold", "n": 28, "n_positive": 12, "recall": quantity(0.7, 0.4, 0.9, 12),
            "fpr": quantity(0.1, 0.0, 0.3, 16), "auc": undefined(TOO_FEW, 28), "p_value": None, "p_value_fpr": None,
        },
    ],
    "threshold_curve": [
        {"threshold": 0.05 * k, "n_above": 30_000 // (k + 1), "precision": quantity(0.2 + 0.04 * k, 0.1, 0.9, 116),
         "recall": quantity(1 - 0.05 * k, 0.1, 1.0, 88)}
        for k in range(20)
    ],
    "applicability": {"threshold": 1.31, "share_outside": 0.12, "n_outside": 13_225},
    "gain": {
        "steps": [
            {"key": "register", "n_changed": 516, "ap": quantity(0.24, 0.18, 0.31)},
            {"key": "rejected_dropped", "n_changed": 91, "ap": quantity(0.36, 0.29, 0.44)},
            {"key": "moved", "n_changed": 91, "ap": quantity(0.44, 0.36, 0.52)},
            {"key": "searched_added", "n_changed": 989, "ap": quantity(0.52, 0.43, 0.61)},
        ],
        "gain_ap": quantity(0.28, 0.18, 0.37),
        "is_measurable": True,
        "n_judged": 412,
        "n_judged_positive": 88,
        "error_rates_from": "",
    },
    "totals": {
        "n_cells": quantity(1780, 1420, 2200), "share": quantity(0.016, 0.013, 0.02), "n_unsure": 41,
        "share_if_clear": 0.015, "share_if_mined": 0.048, "n_read_twice": 12, "reader_variance": None,
    },
    "durations_s": {"labels": 1.2, "fit": 11.0, "validation": 22.5, "map": 3.0},
    "versions": {"numpy": "2.2.6", "scipy": "1.15.2", "python": "3.11.9"},
}  # fmt: skip


def figures(**changes) -> dict:
    """A run of the whole country, as good as the demonstration's."""
    return deepcopy(FIGURES) | changes


def figures_without_a_sample() -> dict:
    """Records alone were judged: the first answer, the totals and what auditing bought are undefined, with reasons."""
    found = figures()
    first = found["ladder"][0]
    first["metrics"], first["reason"] = no_metrics(NO_SAMPLE), NO_SAMPLE
    first["baselines"] = {name: no_metrics(NO_SAMPLE) for name in first["baselines"]}
    first["any_mining"] = None
    found["totals"] = {"n_cells": undefined(NO_SAMPLE), "share": undefined(NO_SAMPLE)}
    found["reliability"] |= {"bins": [], "slope": undefined(TOO_FEW), "intercept": undefined(TOO_FEW), "ece": None}
    found["gain"] = {
        "steps": [{"key": "register", "n_changed": 516, "ap": undefined(NO_SAMPLE)}],
        "gain_ap": undefined(NO_SAMPLE),
        "is_measurable": False,
        "n_judged": 0,
        "n_judged_positive": 0,
        "error_rates_from": "",
    }
    return found


def figures_without_gain() -> dict:
    """The interval of the gain holds zero."""
    found = figures()
    found["gain"] |= {"gain_ap": quantity(0.02, -0.05, 0.09), "is_measurable": False}
    return found
