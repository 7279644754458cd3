// Copies rows of every head from one block to another, whose heads may have another number of rows.
// An invocation copies one 32-bit word, so precision does not matter.

override lanes: u32; // invocations of a workgroup

struct Copy {
  words: u32, // of one head's rows, which lie side by side
  count: u32, // words of all heads
  source_start: u32,
  source_head: u32, // words from one head to the next
  place_start: u32,
  place_head: u32,
}

@group(0) @binding(0) var<uniform> job: Copy;
@group(0) @binding(1) var<storage, read_write> place: array<u32>; // [slots, heads, rows, words of a row]
@group(0) @binding(2) var<storage, read> source: array<u32>; // the same, with other rows

struct Word {
  source: u32,
  place: u32,
}

fn word_of(index: u32) -> Word {
  let head = index / job.words;
  let word = index % job.words;
  return Word(
    job.source_start + head * job.source_head + word,
    job.place_start + head * job.place_head + word,
  );
}

@compute @workgroup_size(lanes)
fn between(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * lanes + lane;
  if (index < job.count) {
    let word = word_of(index);
    place[word.place] = source[word.source];
  }
}

// Within one buffer, which cannot be bound for reading and for writing at once.
@compute @workgroup_size(lanes)
fn within(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (group.y * groups.x + group.x) * lanes + lane;
  if (index < job.count) {
    let word = word_of(index);
    place[word.place] = place[word.source];
  }
}
