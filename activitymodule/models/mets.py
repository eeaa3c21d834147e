"""Energy of activities in METs: 2011 Compendium of Physical Activities (Ainsworth et al. 2011, Med Sci Sports Exerc
43(8), 1575). One MET is 3.5 ml O2 per kg and minute, a litre of oxygen about 5 kcal."""

from __future__ import annotations

import numpy as np

OXYGEN_PER_MET = 3.5  # ml/kg/min

METS: dict[str, float] = {
    "walking": 3.5,  # 17190: 2.8 to 3.2 mph, level, firm surface
    "jogging": 7.0,  # 12020: jogging, general
    "stairs": 5.4,  # mean of 17133 climbing slowly 4.0, 17134 fast 8.8 and 17070 descending 3.5
    "sitting": 1.3,  # 07021: sitting quietly, general
    "standing": 1.3,  # 07040: standing quietly, standing in a line
    "kicking": 7.0,  # 15610: soccer, casual, general
}


def kcal_per_min(met: np.ndarray, weight_kg: np.ndarray) -> np.ndarray:
    """Energy of METs for people of some weight, kcal/min."""
    return met * OXYGEN_PER_MET * weight_kg / 200
