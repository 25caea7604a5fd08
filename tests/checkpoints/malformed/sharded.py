"""Indexes of sharded models: JSON that is none, and shards that are no plain names."""

import json

import numpy as np

from tests.checkpoints._make import safetensors

INDEX = "model.safetensors.index.json"
ONE = safetensors({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, np.ones(2, "<f4").tobytes())
FAULTS = {
    "no weight map": ('{"weight_map ": {}, "x": "weight_map"}', "is JSON, but not the index|has no weight_map"),
    "a list for a map": ('{"weight_map": []}', "has no weight_map of tensor names to file names"),
    "a number for a file": ('{"weight_map": {"a": 1}}', "has no weight_map of tensor names to file names"),
    "a tensor twice": ('{"weight_map": {"a": "x", "a": "y"}}', "has the key 'a' twice"),
    "NaN": ('{"weight_map": {}, "metadata": NaN}', "holds NaN"),
    "deep nesting": ('{"weight_map": ' + "[" * 100_000 + "}", "nested too deeply|not JSON"),
    "a lone surrogate": ('{"weight_map": {"\\ud800": "x"}}', "lone surrogate"),
    "a file with a lone surrogate": ('{"weight_map": {"a": "\\ud800"}}', "plain name"),
    "10,001 files": (
        json.dumps({"weight_map": {str(i): f"s{i}" for i in range(10_001)}}),
        "names 10,001 files; at most 10,000",
    ),
}

NO_PLAIN_NAMES = {
    "a shard in the parent": "../one.safetensors",
    "a shard by an absolute path": "/etc/passwd",
    "a shard below": "sub/one.safetensors",
    "the parent as a shard": "..",
    "the folder as a shard": ".",
    "a shard without a name": "",
    "a shard behind a backslash": "..\\one.safetensors",
    "a shard on a drive": "C:one.safetensors",
    "a shard by a file's URL": "file://one.safetensors",
    "a shard by a URL": "https://example.org/one.safetensors",
    "a shard with a NUL": "one\0.safetensors",
    "a shard of 256 characters": "x" * 256,
}


def files():
    """Yield (fault, files, message)."""
    for fault, (text, message) in FAULTS.items():
        yield fault, {INDEX: text.encode(), "one.safetensors": ONE}, message
    for fault, shard in NO_PLAIN_NAMES.items():
        index = json.dumps({"weight_map": {"a": "one.safetensors", "b": shard}})
        message = "names the file .*; a shard must be a plain name beside its index"
        yield fault, {INDEX: index.encode(), "one.safetensors": ONE}, message
