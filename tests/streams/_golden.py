"""The first values of every distribution and dtype, hashed: run as a program it prints them, for other machines."""

import hashlib
import json
import sys

import numpy as np

import symbreak as sb
from symbreak.streams import Stream

COUNT = 5000  # more than nine blocks, not a whole number of them

DRAWS = {
    "uniform": lambda s: s.uniform(COUNT),
    "uniform low high": lambda s: s.uniform(COUNT, 0.1, 0.7),
    "normal": lambda s: s.normal(COUNT),
    "normal mean std": lambda s: s.normal(COUNT, 0.3, 0.02),
    "truncated": lambda s: s.truncated_normal(COUNT),
    "truncated std": lambda s: s.truncated_normal(COUNT, std=0.02),
    "truncated three": lambda s: s.truncated_normal(COUNT, low=-3, high=3),
    "truncated one side": lambda s: s.truncated_normal(COUNT, low=0, high=np.inf),
    "truncated far": lambda s: s.truncated_normal(COUNT, low=8, high=2000),
    "truncated farther": lambda s: s.truncated_normal(COUNT, low=-40, high=-37),
    "sign": lambda s: s.sign(COUNT),
}
ROUNDED = ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")
INITIALIZERS = {
    "he_normal": (sb.HeNormal(), (61, 37)),
    "glorot_uniform": (sb.GlorotUniform(), (61, 37)),
    "lecun_truncated_normal": (sb.LecunTruncatedNormal(), (16, 8, 3, 3)),
    "normal": (sb.Normal(0.02), (61, 37)),
    "uniform": (sb.Uniform(-0.1, 0.1), (61, 37)),
    "truncated_normal": (sb.TruncatedNormal(0.02), (61, 37)),
    "truncated_normal corrected": (sb.TruncatedNormal(0.02, corrected=True), (61, 37)),
    "rademacher": (sb.Rademacher(0.02), (61, 37)),
    "sparse": (sb.Sparse(5, std=0.02), (61, 37)),
    "sparse, half": (sb.Sparse(0.5, std=0.02), (61, 137)),
    "padded_identity patches": (sb.PaddedIdentity(patches=True, gain=0.5), (61, 5, 3, 3)),
    "zer_o": (sb.ZerO(), (61, 37)),
    "icnr": (sb.ICNR("he_normal"), (16, 8, 3, 3)),
    "looks_linear": (sb.LooksLinear("he_normal"), (62, 36)),
    "forget_bias": (sb.ForgetBias(), (248,)),
    "chrono": (sb.Chrono(1000), (2480,)),
    "henaff": (sb.Henaff(), (61, 61)),
    "henaff skew": (sb.Henaff("skew"), (61, 61)),
    "cayley": (sb.Cayley(), (61, 61)),
    "cayley skew": (sb.Cayley("skew"), (61, 61)),
    "lru_nu_log": (sb.LruNuLog(), (61, 37)),
    "lru_nu_log ring": (sb.LruNuLog(0.9, 0.999), (61, 37)),
    "lru_theta_log": (sb.LruThetaLog(), (61, 37)),
    "log_of_uniform": (sb.LogOfUniform(), (61, 37)),
    "lru_nu_log small": (sb.LruNuLog(0.1, 0.5), (61, 37)),
    "mamba_dt_bias": (sb.MambaDtBias(), (61, 37)),
    "mamba_dt_bias floor": (sb.MambaDtBias(1e-6, 0.1, floor=1e-3), (61, 37)),
    "mamba_dt_bias wide": (sb.MambaDtBias(1e-3, 10.0), (61, 37)),
    "perturbed": (sb.Perturbed(sb.Constant(0.5)), (61, 37)),
    "blocks": (sb.Blocks((sb.HeNormal(), sb.LogOfUniform()), (-1, 7), "i"), (61, 37)),
    "s4d_log_decay": (sb.S4dLogDecay(), (61, 37)),
    "s4d_frequency": (sb.S4dFrequency("inv"), (61, 37)),
    "hippo_legs_a": (sb.HippoLegsA(), (61, 61)),
    "hippo_legs_b": (sb.HippoLegsB(), (61,)),
    "siren": (sb.Siren(), (61, 37)),
    "prior_bias": (sb.PriorBias((0.9, 0.09, 1e-5)), (63,)),
}


def digest(array):
    little = array.view(f"u{array.itemsize}").astype(f"<u{array.itemsize}")
    return hashlib.sha256(np.ascontiguousarray(little).tobytes()).hexdigest()[:16]


def compute():
    key = sb.Key(20261122)["golden"]
    found = {}
    for dtype in ("float32", "float64"):
        for name, draw in DRAWS.items():
            found[f"{name} {dtype}"] = digest(draw(Stream(key, dtype=dtype)))
    for dtype in ROUNDED:
        found[f"normal {dtype}"] = digest(sb.Normal()(COUNT, key, dtype=dtype))
    found["permutation"] = digest(Stream(key).permutation(COUNT))
    for name, (initializer, shape) in INITIALIZERS.items():
        for dtype in ("float32", "float64", "bfloat16"):
            found[f"{name} initializer {dtype}"] = digest(initializer(shape, key, dtype=dtype))
    return found


if __name__ == "__main__":
    json.dump(compute(), sys.stdout, indent=1)
