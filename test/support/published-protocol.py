"""The W8A8 simulation of OutEffHop on one BERT layer, in numpy, from its description and nothing of this project.

published-protocol.py FILE writes the weights, the samples, the ranges and the outputs of the simulation as JSON.
"""

import json
import math
import sys

import numpy as np

F = np.float32
D, H, FFN, S, WORDS, KINDS = 8, 2, 16, 5, 12, 2


def weights(seed=7):
    rng = np.random.default_rng(seed)
    shapes = {
        "word": (WORDS, D), "kind": (KINDS, D), "place": (S, D),
        "gamma0": (D,), "beta0": (D,),
        "wq": (D, D), "bq": (D,), "wk": (D, D), "bk": (D,), "wv": (D, D), "bv": (D,), "wo": (D, D), "bo": (D,),
        "gamma1": (D,), "beta1": (D,),
        "w1": (D, FFN), "b1": (FFN,), "w2": (FFN, D), "b2": (D,),
        "gamma2": (D,), "beta2": (D,),
    }
    made = {name: rng.normal(size=shape).astype(F) * F(0.6) for name, shape in shapes.items()}
    # One gain without a negative element: that one is unsigned.
    made["gamma1"] = np.abs(made["gamma1"]) + F(0.25)
    return made


def quantized_weight(w):
    low, high = min(float(w.min()), 0.0), max(float(w.max()), 1e-8)
    signed = low < 0
    step = F(max(abs(low), high)) / F(127 if signed else 255)
    least = -128 if signed else 0
    return (np.clip(np.rint(w / step), least, 127 if signed else 255) * step).astype(F)


class Quantizers:
    """Running extremes of every point, then one step and zero point for each."""

    def __init__(self):
        self.low, self.high, self.fixed = {}, {}, False

    def __call__(self, name, x):
        if not self.fixed:
            low, high = F(x.min()), F(x.max())
            if name in self.low:
                low = F(0.1) * low + F(0.9) * self.low[name]
                high = F(0.1) * high + F(0.9) * self.high[name]
            self.low[name], self.high[name] = F(low), F(high)
            return x
        low, high = min(self.low[name], F(0)), max(self.high[name], F(1e-8))
        step = F(high - low) / F(255)
        zero = np.clip(np.rint(-low / step), 0, 255)
        q = np.clip(np.rint(x / step) + zero, 0, 255)
        return ((q - zero) * step).astype(F)


def norm(x, gamma, beta):
    mean = x.mean(-1, keepdims=True, dtype=np.float64)
    var = ((x - mean) ** 2).mean(-1, keepdims=True, dtype=np.float64)
    return (((x - mean) / np.sqrt(var + 1e-12)).astype(F) * gamma + beta).astype(F)


def softmax1(x):
    m = np.maximum(x.max(-1, keepdims=True), 0)
    e = np.exp(x - m)
    return (e / (np.exp(-m) + e.sum(-1, keepdims=True))).astype(F)


def gelu(x):
    return (x * F(0.5) * (F(1) + np.vectorize(math.erf)(x / F(math.sqrt(2))).astype(F))).astype(F)


def layer(w, ids, kinds, hidden, q):
    """`hidden` is added to scores: 0 where a key counts."""
    x = q("embedded", w["word"][ids] + w["kind"][kinds])
    x = q("placed", x + w["place"][None, : ids.shape[1]])
    x = q("x", norm(x, w["gamma0"], w["beta0"]))
    split = lambda t: t.reshape(t.shape[0], -1, H, D // H).transpose(0, 2, 1, 3)
    query = split(q("q", x @ w["wq"] + w["bq"]))
    key = split(q("k", x @ w["wk"] + w["bk"]))
    value = split(q("v", x @ w["wv"] + w["bv"]))
    scores = q("scores", (query @ key.transpose(0, 1, 3, 2) / F(math.sqrt(D // H))).astype(F))
    p = q("p", softmax1(scores + hidden))
    context = (p @ value).transpose(0, 2, 1, 3).reshape(x.shape)
    context = q("context", context)
    attended = q("o", context @ w["wo"] + w["bo"])
    x = q("y", norm(q("sum1", attended + x), w["gamma1"], w["beta1"]))
    inner = q("inner", gelu(x @ w["w1"] + w["b1"]))
    outer = q("outer", inner @ w["w2"] + w["b2"])
    return q("z", norm(q("sum2", outer + x), w["gamma2"], w["beta2"]))


BIASES = {"bq", "bk", "bv", "bo", "b1", "b2", "beta0", "beta1", "beta2"}


def main(path):
    w = weights()
    rng = np.random.default_rng(11)
    samples = []
    for _ in range(6):
        hidden = np.where(rng.random((1, 1, 1, S)) < 0.2, F(-1e4), F(0)).astype(F)
        samples.append((rng.integers(0, WORDS, (1, S)), rng.integers(0, KINDS, (1, S)), hidden))
    q = Quantizers()
    for ids, kinds, hidden in samples:
        layer(w, ids, kinds, hidden, q)
    q.fixed = True
    rounded = {name: x if name in BIASES else quantized_weight(x) for name, x in w.items()}
    outputs = [layer(rounded, *sample, q) for sample in samples]
    real = [layer(w, *sample, lambda _, x: x) for sample in samples]
    numbers = lambda x: [float(v) for v in np.asarray(x, dtype=np.float64).ravel()]
    document = {
        "weights": {name: {"dims": list(x.shape), "values": numbers(x)} for name, x in w.items()},
        "samples": [{"ids": i.ravel().tolist(), "kinds": k.ravel().tolist(), "hidden": numbers(h)} for i, k, h in samples],
        "ranges": {name: [float(q.low[name]), float(q.high[name])] for name in q.low},
        "quantized": [numbers(x) for x in outputs],
        "real": [numbers(x) for x in real],
    }
    with open(path, "w") as file:
        json.dump(document, file, separators=(",", ":"))
        file.write("\n")


main(sys.argv[1])
