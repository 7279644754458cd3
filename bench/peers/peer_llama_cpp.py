"""How fast llama-cpp-python is on a model.

    python peer_llama_cpp.py MODEL.gguf HELD...

For each HELD prints one JSON line: tokens per second of prefilling HELD tokens in batches of 512, and of decoding
48 tokens greedily after them. 2 threads; the medians of 3 rounds, after one that does not count.
(Not named llama_cpp.py, which would be what `import llama_cpp` finds first.)
"""

import json
import statistics
import sys
import time

import llama_cpp

THREADS, BATCH, DECODED, ROUNDS = 2, 512, 48, 3


def round_of(llama, tokens):
    """Seconds of prefilling the tokens and of decoding the next ones."""
    llama.reset()
    start = time.perf_counter()
    llama.eval(tokens)
    prefilled = time.perf_counter()
    for _ in range(DECODED):
        llama.eval([llama.sample(temp=0)])
    return prefilled - start, time.perf_counter() - prefilled


def main(model, sizes):
    llama = llama_cpp.Llama(
        model, n_ctx=max(sizes) + DECODED, n_batch=BATCH,
        n_threads=THREADS, n_threads_batch=THREADS, verbose=False,
    )  # fmt: skip
    sentence = llama.tokenize(b"The quick brown fox jumps over the lazy dog. ", add_bos=False)
    for held in sizes:
        tokens = (sentence * (held // len(sentence) + 1))[:held]
        round_of(llama, tokens[:64])
        prefill, decode = zip(*(round_of(llama, tokens) for _ in range(ROUNDS)))
        print(json.dumps({
            "peer": f"llama-cpp-python {llama_cpp.__version__}",
            "held": held,
            "prefillTokensPerSecond": held / statistics.median(prefill),
            "decodeTokensPerSecond": DECODED / statistics.median(decode),
            "threads": THREADS,
            "rounds": ROUNDS,
        }), flush=True)  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], [int(held) for held in sys.argv[2:]])
