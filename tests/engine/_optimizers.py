"""One optimizer of each kind, its settings other than the defaults, for the tests that hold all of them to a law."""

from symbreak import engine

OPTIMIZERS = {
    "SGD": engine.SGD(0.1, weight_decay=0.2),
    "Momentum": engine.Momentum(0.1, momentum=0.7, weight_decay=0.2),
    "Nesterov": engine.Nesterov(0.1, momentum=0.7, weight_decay=0.2),
    "RMSProp": engine.RMSProp(0.02, decay=0.8, eps=1e-3),
    "Adam": engine.Adam(0.02, beta1=0.8, beta2=0.95, eps=1e-3),
    "Adam with L2": engine.Adam(0.02, beta1=0.8, beta2=0.95, eps=1e-3, weight_decay=0.2),
    "AdamW": engine.AdamW(0.02, beta1=0.8, beta2=0.95, eps=1e-3, weight_decay=0.2),
    "Muon": engine.Muon(0.02, momentum=0.8, weight_decay=0.2, others=engine.AdamW(0.02, weight_decay=0.3)),
}
