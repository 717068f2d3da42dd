"""Nowcasts of pysteps from past frames alone; `rain.py` runs this with the interpreter that has pysteps.

    python peer_pysteps.py CASE.npz OUT.npz

CASE.npz has `rain` (T, H, W), rates in mm/h, rows from north to south; `starts`, the numbers of the last known
frames; `leads`, `members`, `kilometres` between points, `minutes` between frames, and `methods`. OUT.npz has for each
method its rates (S, E, leads, H, W), NaN where it says nothing, and `seconds_…`, those of a nowcast. Motion is by Lucas
and Kanade's method from three frames; settings are those of pysteps' own examples.
"""

import sys
import time
from collections.abc import Callable

import numpy as np
from pysteps import motion, nowcasts
from pysteps.utils import transformation

THRESHOLD = 0.1  # mm/h; less is dry
ZERO = -15.0  # dBR of dry points
LEVELS = 6  # of the cascade
SEED = 24


def main() -> None:
    case = np.load(sys.argv[1])
    found = {}
    for name in map(str, case["methods"]):
        made, began = [], time.perf_counter()
        for start in map(int, case["starts"]):
            made.append(METHODS[name](case["rain"][: start + 1].astype(float), case))
        found[name] = np.stack(made).astype("float32")
        found[f"seconds_{name}"] = (time.perf_counter() - began) / len(made)
    np.savez(sys.argv[2], **found)


def decibels(rain: np.ndarray) -> np.ndarray:
    """Rates as dBR, `ZERO` where it is dry."""
    return transformation.dB_transform(rain, threshold=THRESHOLD, zerovalue=ZERO)[0]


def rates(values: np.ndarray) -> np.ndarray:
    """Rates of dBR, (E, leads, H, W)."""
    found = transformation.dB_transform(values, inverse=True, threshold=10 * np.log10(THRESHOLD), zerovalue=0.0)[0]
    return found if found.ndim == 4 else found[None]


def velocity(rain: np.ndarray) -> np.ndarray:
    """Motion of the last three frames (2, H, W), points a frame."""
    return motion.get_method("LK")(decibels(rain[-3:]), verbose=False)


def persistence(rain: np.ndarray, case: dict) -> np.ndarray:
    return np.repeat(rain[-1:], int(case["leads"]), 0)[None]


def extrapolation(rain: np.ndarray, case: dict) -> np.ndarray:
    return nowcasts.get_method("extrapolation")(rain[-1], velocity(rain), int(case["leads"]))[None]


def sprog(rain: np.ndarray, case: dict) -> np.ndarray:
    method, limit = nowcasts.get_method("sprog"), 10 * np.log10(THRESHOLD)
    made = method(decibels(rain[-3:]), velocity(rain), int(case["leads"]), n_cascade_levels=LEVELS, precip_thr=limit)
    return rates(made)


def anvil(rain: np.ndarray, case: dict) -> np.ndarray:
    method = nowcasts.get_method("anvil")
    return method(rain[-4:], velocity(rain), int(case["leads"]), ar_window_radius=25, ar_order=2)[None]


def steps(rain: np.ndarray, case: dict) -> np.ndarray:
    made = nowcasts.get_method("steps")(
        decibels(rain[-3:]),
        velocity(rain),
        int(case["leads"]),
        n_ens_members=int(case["members"]),
        n_cascade_levels=LEVELS,
        precip_thr=10 * np.log10(THRESHOLD),
        kmperpixel=float(case["kilometres"]),
        timestep=float(case["minutes"]),
        noise_method="nonparametric",
        vel_pert_method="bps",
        mask_method="incremental",
        seed=SEED,
        num_workers=1,
    )
    return rates(made)


def linda(rain: np.ndarray, case: dict) -> np.ndarray:
    made = nowcasts.get_method("linda")(
        rain[-3:],
        velocity(rain),
        int(case["leads"]),
        kmperpixel=float(case["kilometres"]),
        timestep=float(case["minutes"]),
        max_num_features=15,
        add_perturbations=False,
        num_workers=1,
    )
    return np.asarray(made)[None]


METHODS: dict[str, Callable[[np.ndarray, dict], np.ndarray]] = {
    "persistence": persistence,
    "extrapolation": extrapolation,
    "S-PROG": sprog,
    "ANVIL": anvil,
    "STEPS": steps,
    "LINDA": linda,
}


if __name__ == "__main__":
    main()
