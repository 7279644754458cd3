"""Makes dequantize.json: tensor bytes and the values that PyPI's gguf reads from them.

    pip install gguf numpy && python make_goldens.py

Each case is one type's blocks: random ones, then edge cases of scales and integers. All values are finite.
"""

import base64
import hashlib
import importlib.metadata
import json
import pathlib

import gguf
import numpy as np

# Where each type keeps its half-precision scales in a block, in bytes.
HALVES_AT = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
# 0, -0, least and largest subnormal of both signs, least normal, 1, -1, largest of both signs.
EDGE_HALVES = [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x83FF, 0x0400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF]
RANDOM_BLOCKS = 4


def finite_half(rng: np.random.Generator) -> int:
    return int(rng.integers(0, 0x7C00)) | int(rng.integers(0, 2)) << 15


def quantised(name: str, rng: np.random.Generator) -> np.ndarray:
    _, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
    halves_at = HALVES_AT[name]
    blocks = []
    for _ in range(RANDOM_BLOCKS):
        blocks.append((rng.integers(0, 256, size, dtype=np.uint8), [finite_half(rng) for _ in halves_at]))
    for half in EDGE_HALVES:
        blocks.append((rng.integers(0, 256, size, dtype=np.uint8), [half, *[finite_half(rng) for _ in halves_at[1:]]]))
    for fill in (0x00, 0xFF, 0x80, 0x7F, 0x0F, 0xF0):
        blocks.append((np.full(size, fill, dtype=np.uint8), [0x3555] * len(halves_at)))
    # Cancellation: the largest scale against the largest offset, the least against the largest.
    if len(halves_at) == 2:
        for pair in ((0x7BFF, 0x7BFF), (0x7BFF, 0xFBFF), (0x0001, 0x7BFF), (0x7BFF, 0x8001), (0x0000, 0x8000)):
            blocks.append((rng.integers(0, 256, size, dtype=np.uint8), list(pair)))
    for data, halves in blocks:
        for at, half in zip(halves_at, halves):
            data[at : at + 2] = [half & 255, half >> 8]
    return np.stack([data for data, _ in blocks])


def plain(name: str, rng: np.random.Generator) -> np.ndarray:
    if name == "F32":
        edges = np.array([0, 1 << 31, 1, 0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0xFF7FFFFF], dtype=np.uint32)
        return np.concatenate([edges, rng.standard_normal(25).astype(np.float32).view(np.uint32)]).view(np.uint8)
    if name == "F16":
        return np.array(EDGE_HALVES + [finite_half(rng) for _ in range(53)], dtype=np.uint16).view(np.uint8)
    edges = [0, 0x8000, 0x0001, 0x807F, 0x0080, 0x7F7F, 0xFF7F, 0x3F80]
    return np.array(edges + [int(v) for v in rng.integers(0, 0x7F80, 56)], dtype=np.uint16).view(np.uint8)


def main() -> None:
    cases = {}
    rng = np.random.default_rng(20240601)
    for name in ("F32", "F16", "BF16", *HALVES_AT):
        data = quantised(name, rng) if name in HALVES_AT else plain(name, rng)
        values = gguf.quants.dequantize(data, gguf.GGMLQuantizationType[name]).astype("<f4").ravel()
        assert np.isfinite(values).all()
        cases[name] = {
            "bytes": base64.b64encode(data.tobytes()).decode(),
            "values": base64.b64encode(values.tobytes()).decode(),
        }
    halves = np.arange(65536, dtype=np.uint16)
    halves = halves[(halves & 0x7FFF) <= 0x7C00]
    digest = hashlib.sha256(halves.view(np.float16).astype("<f4").tobytes()).hexdigest()
    golden = {"gguf": f"PyPI gguf {importlib.metadata.version('gguf')}", "allHalvesButNaNsSha256": digest, "cases": cases}
    path = pathlib.Path(__file__).with_name("dequantize.json")
    path.write_text(json.dumps(golden, indent=2) + "\n")


if __name__ == "__main__":
    main()
