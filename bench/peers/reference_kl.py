"""How far llama.cpp is from exact arithmetic on the same weights.

    python reference_kl.py MODEL.gguf TEXT OUT [N=512] [SKIP=0]

Runs llama-cpp-python, teacher-forced, over the first N tokens of TEXT after SKIP bytes (no BOS is added; 2 threads,
one batch, its default f16 cache), and an f32 forward pass in numpy over the same dequantised weights. Prints one JSON line:
mean KL(reference || llama.cpp) in nats and top-1 agreement over the N positions, and the same text's perplexities.

A list of chapters at the head of a book flatters every engine: skip it.

OUT receives `reference_logits.f32` ([N, vocabulary], little-endian float32, row p predicts token p + 1),
`llama_cpp_logits.f32` (the same shape) and `tokens.json` (N ids), for other engines to be compared with.

Needs llama-cpp-python, gguf and numpy. The reference knows the llama architecture only: RMSNorm, rotary
embeddings of interleaved pairs (GGUF permutes the rows of q and k for that), grouped queries, SwiGLU, and the
token embedding as output matrix where the file has none.
"""

import json
import os
import sys

import gguf
import llama_cpp
import numpy as np
from gguf.quants import dequantize

THREADS = 2


class Model:
    """The metadata and f32 weights of a GGUF."""

    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        self.fields = reader.fields
        self.tensors = {t.name: t for t in reader.tensors}
        if self.field("general.architecture") != "llama":
            raise ValueError(f"Cannot use {path} as a llama model: it is {self.field('general.architecture')}")

    def field(self, name, default=None):
        return self.fields[name].contents() if name in self.fields else default

    def weight(self, name):
        """The tensor in f32, in numpy's order of axes: [rows out, columns in]."""
        tensor = self.tensors[name]
        return dequantize(tensor.data, tensor.tensor_type).astype(np.float32)


def rms_norm(x, weight, epsilon):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + epsilon) * weight


def rotate(x, cos, sin):
    """Rotary embedding of x [tokens, heads, dim] over the pairs (0, 1), (2, 3), … by cos and sin [tokens, dim / 2]."""
    even, odd = x[..., 0::2], x[..., 1::2]
    c, s = cos[:, None, :], sin[:, None, :]
    return np.stack([even * c - odd * s, even * s + odd * c], axis=-1).reshape(x.shape)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def reference_logits(model, tokens):
    """Logits [tokens, vocabulary] in f32; angles are computed in f64."""
    n = len(tokens)
    heads = model.field("llama.attention.head_count")
    kv_heads = model.field("llama.attention.head_count_kv", heads)
    epsilon = model.field("llama.attention.layer_norm_rms_epsilon")
    embedding = model.weight("token_embd.weight")
    dim = model.field("llama.rope.dimension_count", embedding.shape[1] // heads)
    base = model.field("llama.rope.freq_base", 10000.0)
    angles = np.arange(n)[:, None] * base ** (-np.arange(0, dim, 2) / dim)
    cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    causal = np.triu(np.full((n, n), -np.inf, np.float32), 1)

    x = embedding[tokens]
    for layer in range(model.field("llama.block_count")):

        def weight(name):
            return model.weight(f"blk.{layer}.{name}.weight")

        h = rms_norm(x, weight("attn_norm"), epsilon)
        q = rotate((h @ weight("attn_q").T).reshape(n, heads, dim), cos, sin)
        k = rotate((h @ weight("attn_k").T).reshape(n, kv_heads, dim), cos, sin)
        v = (h @ weight("attn_v").T).reshape(n, kv_heads, dim)
        k, v = (np.repeat(t, heads // kv_heads, axis=1).transpose(1, 0, 2) for t in (k, v))
        scores = q.transpose(1, 0, 2) @ k.transpose(0, 2, 1) / np.float32(np.sqrt(dim))
        attended = (softmax(scores + causal) @ v).transpose(1, 0, 2).reshape(n, heads * dim)
        x = x + attended @ weight("attn_output").T

        h = rms_norm(x, weight("ffn_norm"), epsilon)
        gate = h @ weight("ffn_gate").T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ weight("ffn_up").T)) @ weight("ffn_down").T

    tied = "output.weight" not in model.tensors
    output = embedding if tied else model.weight("output.weight")
    return rms_norm(x, model.weight("output_norm.weight"), epsilon) @ output.T


def llama_cpp_logits(llama, tokens):
    """Logits [tokens, vocabulary] of all the tokens in one batch."""
    llama.reset()
    llama.eval(tokens)
    return np.array(llama.scores[: len(tokens)], dtype=np.float32)


def log_softmax(logits):
    x = logits.astype(np.float64)
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def compare(reference, other):
    """Mean KL(reference || other) in nats and the share of positions with the same most likely token."""
    p, q = log_softmax(reference), log_softmax(other)
    kl = (np.exp(p) * (p - q)).sum(axis=-1)
    agree = reference.argmax(axis=-1) == other.argmax(axis=-1)
    return {"meanKl": float(kl.mean()), "maxKl": float(kl.max()), "top1Agreement": float(agree.mean())}


def perplexity(logits, tokens):
    logp = log_softmax(logits[:-1])
    return float(np.exp(-logp[np.arange(len(tokens) - 1), tokens[1:]].mean()))


def main(model_path, text_path, out, count="512", skip="0"):
    count = int(count)
    os.makedirs(out, exist_ok=True)
    with open(text_path, "rb") as file:
        file.seek(int(skip))
        head = file.read(16 * count)
    llama = llama_cpp.Llama(
        model_path, n_ctx=count, n_batch=count, n_ubatch=count, logits_all=True,
        n_threads=THREADS, n_threads_batch=THREADS, verbose=False,
    )  # fmt: skip
    tokens = llama.tokenize(head, add_bos=False)[:count]
    if len(tokens) < count:
        raise ValueError(f"Cannot take {count} tokens of {text_path}: it has {len(tokens)} after byte {skip}")
    with open(os.path.join(out, "tokens.json"), "w") as file:
        json.dump(tokens, file)

    theirs = llama_cpp_logits(llama, tokens)
    reference = reference_logits(Model(model_path), tokens)
    theirs.tofile(os.path.join(out, "llama_cpp_logits.f32"))
    reference.astype("<f4").tofile(os.path.join(out, "reference_logits.f32"))
    print(json.dumps({
        "peer": f"llama-cpp-python {llama_cpp.__version__}",
        "model": os.path.basename(model_path),
        "tokens": count,
        "skippedBytes": int(skip),
        "vocabulary": reference.shape[1],
        **compare(reference, theirs),
        "referencePerplexity": perplexity(reference, tokens),
        "perplexity": perplexity(theirs, tokens),
    }))  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5, 6):
        sys.exit(__doc__)
    main(*sys.argv[1:])
