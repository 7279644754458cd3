/**
 * The vocabulary of an open GGUF file.
 *
 * @module
 */
import { readVocabulary, type Vocabulary } from "./vocabulary.ts";

/** The getters that {@linkcode readGgufVocabulary} needs of a file's metadata. */
export interface VocabularyMetadata {
  optionalString(key: string): string | undefined;
  optionalStrings(key: string): string[] | undefined;
  optionalNumber(key: string): number | undefined;
  optionalNumbers(key: string): number[] | undefined;
  optionalBoolean(key: string): boolean | undefined;
}

const GETTERS: ReadonlyMap<string, keyof VocabularyMetadata> = new Map([
  ["tokenizer.ggml.model", "optionalString"],
  ["tokenizer.ggml.pre", "optionalString"],
  ["tokenizer.ggml.tokens", "optionalStrings"],
  ["tokenizer.ggml.token_type", "optionalNumbers"],
  ["tokenizer.ggml.merges", "optionalStrings"],
  ["tokenizer.ggml.bos_token_id", "optionalNumber"],
  ["tokenizer.ggml.eos_token_id", "optionalNumber"],
  ["tokenizer.ggml.unknown_token_id", "optionalNumber"],
  ["tokenizer.ggml.add_bos_token", "optionalBoolean"],
  ["tokenizer.ggml.add_space_prefix", "optionalBoolean"],
]);

/**
 * Reads the vocabulary of an open GGUF file.
 *
 * @throws as {@linkcode readVocabulary}, and as the metadata's getters do.
 *
 * @example
 * ```ts ignore
 * using file = await openGguf("model.gguf");
 * const tokenizer = createTokenizer(readGgufVocabulary(file.metadata));
 * ```
 */
export function readGgufVocabulary(metadata: VocabularyMetadata): Vocabulary {
  return readVocabulary((key) => {
    const getter = GETTERS.get(key);
    return getter && metadata[getter](key);
  });
}
