// Moves rows within the caches of up to three layers, in place. An invocation moves one word (see
// element.wgsl) of one head's row, in each of the layers. Keys may be turned on the way.

override lanes: u32; // invocations of a workgroup
override layers: u32; // 1 to 3; the caches of the others are not touched
override heads: u32;
override rows: u32; // of a head in a cache
override words: u32; // of a row
override turned: u32; // words of half the rotated elements
override angles: u32; // rows of `cosines_sines`, and so where its sines begin

struct RowMove {
  slot: u32,
  source: u32, // row
  place: u32, // row
  angle: i32, // row of `cosines_sines`; -1: the key as it is
}

@group(0) @binding(0) var<uniform> count: u32; // of moves
@group(0) @binding(1) var<storage, read> moves: array<RowMove>; // [count]
@group(0) @binding(2) var<storage, read> cosines_sines: array<f32>; // [2, angles, rotated / 2]
@group(0) @binding(3) var<storage, read_write> keys_0: array<u32>; // [slots, heads, rows, words], as all below
@group(0) @binding(4) var<storage, read_write> values_0: array<u32>;
@group(0) @binding(5) var<storage, read_write> keys_1: array<u32>;
@group(0) @binding(6) var<storage, read_write> values_1: array<u32>;
@group(0) @binding(7) var<storage, read_write> keys_2: array<u32>;
@group(0) @binding(8) var<storage, read_write> values_2: array<u32>;

// One word of a key, turned: x' = x cos - y sin, y' = y cos + x sin, where x are the elements of the
// first half of the rotated ones and y those of the second.
struct Turn {
  partner: u32, // offset of the word of the other elements of the pairs
  cosines: vec2f,
  sines: vec2f, // negative for a word of x
}

fn turn(own: u32, partner: u32, by: Turn) -> u32 {
  return word_of(elements_of(own) * by.cosines + elements_of(partner) * by.sines);
}

fn angles_of(angle: u32, word: u32) -> Turn {
  let first = word < turned;
  let place = (angle * turned + word % max(turned, 1u)) * per_word;
  let sines = place + angles * turned * per_word;
  var by: Turn;
  by.partner = select(word - turned, word + turned, first);
  by.cosines = vec2f(cosines_sines[place], cosines_sines[place + per_word - 1u]);
  by.sines = vec2f(cosines_sines[sines], cosines_sines[sines + per_word - 1u]) * select(1.0, -1.0, first);
  return by;
}

@compute @workgroup_size(lanes)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * lanes + lane;
  let word = index % words;
  let head = index / words % heads;
  if (index / words / heads >= count) {
    return;
  }
  let row_move = moves[index / words / heads];
  let start = (row_move.slot * heads + head) * rows;
  let source_row = (start + row_move.source) * words;
  let source = source_row + word;
  let place = (start + row_move.place) * words + word;

  values_0[place] = values_0[source];
  if (layers > 1u) {
    values_1[place] = values_1[source];
  }
  if (layers > 2u) {
    values_2[place] = values_2[source];
  }
  if (row_move.angle < 0 || word >= 2u * turned) {
    keys_0[place] = keys_0[source];
    if (layers > 1u) {
      keys_1[place] = keys_1[source];
    }
    if (layers > 2u) {
      keys_2[place] = keys_2[source];
    }
    return;
  }
  let by = angles_of(u32(row_move.angle), word);
  let partner = source_row + by.partner;
  keys_0[place] = turn(keys_0[source], keys_0[partner], by);
  if (layers > 1u) {
    keys_1[place] = turn(keys_1[source], keys_1[partner], by);
  }
  if (layers > 2u) {
    keys_2[place] = turn(keys_2[source], keys_2[partner], by);
  }
}
