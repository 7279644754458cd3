// Put behind shaders that compute with elements of rows. A row is an array of 32-bit words: of one
// f32 each, or of two f16, the lower half first. So one shader serves both precisions, copies are
// exact bit for bit, and `shader-f16` is not needed.

override per_word: u32; // elements of a word: 1 (f32) or 2 (f16)

// The elements of a word; y is 0 for f32.
fn elements_of(word: u32) -> vec2f {
  if (per_word == 2u) {
    return unpack2x16float(word);
  }
  return vec2f(bitcast<f32>(word), 0.0);
}

// The word of these elements.
fn word_of(elements: vec2f) -> u32 {
  if (per_word == 2u) {
    return pack2x16float(elements);
  }
  return bitcast<u32>(elements.x);
}
