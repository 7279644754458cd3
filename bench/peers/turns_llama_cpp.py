"""A conversation with llama-cpp-python, as its users hold one: a chat client that sends the whole history.

    python turns_llama_cpp.py MODEL.gguf CONTEXT ANSWER

Says its name, then for each line {"text": …} of stdin prints the turn as one JSON line (see turns/client.ts). The
history goes to `create_chat_completion`, streamed, which is what the package's OpenAI server calls, without HTTP
between; what of it the cache holds from the turn before is not computed again. A history that does not fit CONTEXT
tokens is refused; its client then forgets the oldest question with its answer, and asks again. 2 threads, greedy.
"""

import json
import sys
import time

import llama_cpp

THREADS, BATCH = 2, 512


def answer_of(llama, history, most):
    """Milliseconds to the first text, and the whole answer."""
    llama_cpp.llama_perf_context_reset(llama.ctx)
    start = time.perf_counter()
    first, answer = None, ""
    for chunk in llama.create_chat_completion(history, stream=True, temperature=0, max_tokens=most):
        text = chunk["choices"][0]["delta"].get("content") or ""
        if text and first is None:
            first = time.perf_counter() - start
        answer += text
    total = time.perf_counter() - start
    return {
        "firstMs": (total if first is None else first) * 1000,
        "ms": total * 1000,
        "answer": answer,
        "computed": llama_cpp.llama_perf_context(llama.ctx).n_p_eval,
    }


def main(model, context, most):
    llama = llama_cpp.Llama(
        model, n_ctx=context, n_batch=BATCH,
        n_threads=THREADS, n_threads_batch=THREADS, verbose=False,
    )  # fmt: skip
    print(json.dumps({"peer": f"llama-cpp-python {llama_cpp.__version__}, history resent"}), flush=True)
    history = []
    for line in sys.stdin:
        history.append({"role": "user", "content": json.loads(line)["text"]})
        start = time.perf_counter()
        refusal, forgotten = None, 0
        while True:
            try:
                turn = answer_of(llama, history, most)
                break
            except ValueError as error:
                if len(history) < 3:
                    raise
                refusal = refusal or str(error)
                history = history[2:]
                forgotten += 2
        refused = (time.perf_counter() - start) * 1000 - turn["ms"]
        history.append({"role": "assistant", "content": turn["answer"]})
        print(json.dumps({
            **turn,
            "firstMs": turn["firstMs"] + refused,
            "ms": turn["ms"] + refused,
            "cacheBytes": None,
            "refusal": refusal,
            "forgotten": forgotten,
        }), flush=True)  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
