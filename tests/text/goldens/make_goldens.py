"""Makes smollm2.json: token ids by llama.cpp for text that tokenizers get wrong.

    pip install llama-cpp-python==0.3.36 gguf
    python make_goldens.py SmolLM2-135M-Instruct.Q4_1.gguf war-and-peace.txt > smollm2.json

The book is Project Gutenberg's "War and Peace" (public domain); an excerpt goes into the goldens,
of the whole only a digest. The other pre-tokenizers are run on the same vocabulary, in files that
hold nothing else.
"""

import array
import ctypes
import hashlib
import json
import os
import sys
import tempfile

import jinja2
import llama_cpp
from gguf import GGUFReader, GGUFWriter
from llama_cpp import Llama

CASES = {
    "empty": "",
    "one space": " ",
    "hello": "Hello, world!",
    "emoji ZWJ": "👩‍👩‍👧‍👦 👨🏽‍🚀🏳️‍🌈x👩‍❤️‍💋‍👨",
    "emoji flags": "🇩🇪🇯🇵🇺🇳 🏴󠁧󠁢󠁳󠁣󠁴󠁿",
    "emoji skin tones": "👍👍🏻👍🏼👍🏽👍🏾👍🏿 ok",
    "keycaps": "1️⃣2️⃣#️⃣",
    "chinese": "战争与和平是一部长篇小说。你好,世界!",
    "japanese": "吾輩は猫である。名前はまだ無い。ガギグゲゴ",
    "korean": "안녕하세요 세계 각",
    "arabic": "الحرب والسلام، ١٢٣٤٥ لا إله",
    "hebrew": "שָׁלוֹם עוֹלָם",
    "devanagari": "युद्ध और शांति १२३",
    "thai": "สงครามและสันติภาพ ๑๒๓",
    "combining marks": "e\u0301a\u0308\u0323 Z\u0351\u0343\u0309a\u0316l\u0324go \u0301x",
    "composed and not": "Åström A\u030astro\u0308m ﬁ ſ's",
    "CRLF": "one\r\ntwo\r\n\r\nthree\r\n",
    "lone CR": "one\rtwo\r\rthree\r",
    "newlines": "a\nb\n\nc\n\n\nd\n\n\n\n  e\n \n f \n",
    "many spaces": "a  b   c    d" + " " * 17 + "e" + " " * 40,
    "tabs": "\ta\t\tb\t \tc \t d\t",
    "leading spaces": "   leading",
    "only spaces": " " * 33,
    "spaces before number": "x  1   23    4",
    "digits": "0 1 12 123 1234 12345 3.14159 1,000,000 2026-11-22",
    "digits in words": "a1b22c333 v2.0 0x7f",
    "arabic-indic digits": "٠١٢٣ ۴۵۶ 7٨9",
    "fullwidth digits": "0123 45a6",
    "superscripts": "x²+y³ ¹²³ ⁴₅ ½⅓ ①② Ⅳ",
    "contractions": "I'm you're he's they'd we'll I've can't 'S 'T I'M YOU'RE 'tis o'' 'ſ",
    "curly quotes": "“It’s”—she said… ‘no’",
    "code": "def f(x: int) -> int:\n    return x ** 2  # x²\n\nif __name__ == '__main__':\n\tprint(f(3))\n",
    "json": '{"a": [1, 2.5e-3, null], "b\\n": "c\\"d"}',
    "punctuation": "!!! ??? ... --- === <<>> ((())) ~~ ^^ `` $$ ||",
    "symbols": "€ £ ¥ © ® ™ § ¶ † ‡ • √ ∞ ≠ ← →",
    "control characters": "".join(f"a{chr(c)}b {chr(c)}{chr(c)} " for c in range(0x20)) + "\x7f",
    "C1 control characters": "".join(f"a{chr(c)}b {chr(c)}" for c in range(0x80, 0xA1)),
    "unusual spaces": "".join(
        f"a{chr(c)}b {chr(c)} {chr(c)}{chr(c)}1{chr(c)}"
        for c in [0x85, 0xA0, 0x1680, 0x180E, 0x2000, 0x2003, 0x200A, 0x200B, 0x2028, 0x2029,
                  0x202F, 0x205F, 0x2060, 0x3000, 0xFEFF]
    ),
    "byte order mark first": "\ufeffx",
    "noncharacters": "a\ufdd0b\uffffc\U0010ffffd",
    "private use": "\ue000 \U000f0000x",
    "replacement character": "\ufffd\ufffd x",
    "typed control tokens": "<|im_start|>system\nYou obey.<|im_end|>\n<|endoftext|><repo_name> <|im_start",
    "byte alphabet": "Ġthe Ċ Ā ģ Ń",
    "math letters": "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟘𝟙𝟚 𐍈 𒀀",
    "long word": "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
    "mixed scripts": "abcабвabc中abc文1中 2文",
    "URL": "https://example.com/a?b=c&d=%20#e_f-g",
}
LONG = {"a": ["a", 100_000], "word": ["Donaudampfschiff", 6_250], "spaces": [" ", 100_000]}
CHATS = [
    [{"role": "user", "content": "Hello! 123"}],
    [
        {"role": "system", "content": "Be brief.\n"},
        {"role": "user", "content": "  What is 2 + 2?"},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": "Größer? 🙂"},
    ],
]
OTHERS = ["default", "gpt-2", "llama-bpe", "qwen2", "starcoder"]
EXCERPT = ("Well, Prince, so Genoa", 2_500)


def main() -> None:
    model, book_path = sys.argv[1:]
    with open(book_path, encoding="utf-8", newline="") as file:
        book = file.read()
    begin = book.index(EXCERPT[0])
    excerpt = book[begin : begin + EXCERPT[1]]

    ours = load(model)
    whole = tokenize(ours, book)
    goldens = {
        "by": "llama-cpp-python 0.3.36",
        "cases": {name: {"text": text, "ids": ids(ours, text)} for name, text in CASES.items()},
        "excerpt": {"text": excerpt, "ids": ids(ours, excerpt)},
        "long": {
            name: {"unit": unit, "times": times, **digest(tokenize(ours, unit * times))}
            for name, (unit, times) in LONG.items()
        },
        "book": {"characters": len(book), **digest(whole)},
        "chats": [{"messages": chat, "ids": chat_ids(ours, chat)} for chat in CHATS],
        "bytes": byte_tokens(ours),
        "pre": {pre: other_pre(model, pre) for pre in OTHERS},
    }
    json.dump(goldens, sys.stdout, indent=2)
    print()


def load(path: str) -> Llama:
    return Llama(path, vocab_only=True, verbose=False)


def tokenize(llama: Llama, text: str) -> list[int]:
    return llama.tokenize(text.encode("utf-8"), add_bos=False, special=False)


def ids(llama: Llama, text: str) -> str:
    """As one string, lest formatters give each id its own line."""
    return " ".join(map(str, tokenize(llama, text)))


def chat_ids(llama: Llama, messages: list[dict]) -> str:
    source = llama.metadata["tokenizer.chat_template"]
    template = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(source)
    prompt = template.render(messages=messages, add_generation_prompt=True).encode("utf-8")
    return " ".join(map(str, llama.tokenize(prompt, add_bos=False, special=True)))


def digest(ids: list[int]) -> dict:
    """Count and SHA-256 of the ids as little-endian u32."""
    words = array.array("I", ids)
    if sys.byteorder == "big":
        words.byteswap()
    return {"count": len(ids), "sha256": hashlib.sha256(words.tobytes()).hexdigest()}


def byte_tokens(llama: Llama) -> dict:
    """SHA-256 of all tokens' bytes, each after its length as little-endian u32."""
    hasher = hashlib.sha256()
    # Llama.detokenize leaves out tokens of over 32 bytes.
    buffer = (ctypes.c_char * 4096)()
    for token in range(llama.n_vocab()):
        length = llama_cpp.llama_token_to_piece(llama._model.vocab, token, buffer, 4096, 0, False)
        piece = bytes(buffer[:length])
        hasher.update(len(piece).to_bytes(4, "little") + piece)
    return {"count": llama.n_vocab(), "sha256": hasher.hexdigest()}


def other_pre(model: str, pre: str) -> dict:
    """Ids of the cases by the same vocabulary with another pre-tokenizer."""
    fields = GGUFReader(model).fields
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "vocabulary.gguf")
        writer = GGUFWriter(path, "llama")
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(pre)
        writer.add_token_list(fields["tokenizer.ggml.tokens"].contents())
        writer.add_token_types(fields["tokenizer.ggml.token_type"].contents())
        writer.add_token_merges(fields["tokenizer.ggml.merges"].contents())
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        llama = load(path)
        return {name: ids(llama, text) for name, text in CASES.items()}


main()
