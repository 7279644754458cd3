/** GGUF files whose headers say how large a model is, for plans. @module */
import {
  encodeGguf,
  type GgufSpec,
  type GgufValue,
} from "../weights/gguf_writer.ts";

/** The numbers of Llama-3-70B, as its GGUF files have them. */
export const LLAMA_3_70B: Readonly<Record<string, GgufValue>> = {
  "general.architecture": "llama",
  "llama.block_count": 80,
  "llama.embedding_length": 8192,
  "llama.attention.head_count": 64,
  "llama.attention.head_count_kv": 8,
};

/** A model of a header like a real one's, with a vocabulary and a tensor of a type that nobody reads. */
export function ggufOf(
  metadata: Readonly<Record<string, GgufValue>>,
  { vocabulary = 0, data = 0 }: { vocabulary?: number; data?: number } = {},
): Uint8Array<ArrayBuffer> {
  const tokens = Array.from({ length: vocabulary }, (_, i) => `token ${i}`);
  const spec: GgufSpec = {
    metadata: { ...metadata, "tokenizer.ggml.tokens": tokens },
    tensors: [{
      name: "blk.0.attn_q.weight",
      shape: [1, Math.max(1, data)],
      type: 22,
      data: new Uint8Array(data),
    }],
  };
  return encodeGguf(spec);
}
