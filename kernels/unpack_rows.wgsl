// The way back from pack_rows.wgsl: element = zero + code * scale. An invocation writes one word of a row.

override lanes: u32; // invocations of a workgroup

@group(0) @binding(1) var<storage, read_write> rows: array<u32>; // [slots, heads, rows, words of a row]
@group(0) @binding(2) var<storage, read> codes: array<u32>; // [groups, bits]
@group(0) @binding(3) var<storage, read> scales: array<vec2f>; // [groups]: scale and zero

fn element(head: u32, row: u32, column: u32) -> f32 {
  var group = (head * job.rows + row) * chunks(width) + column / GROUP;
  var at = column % GROUP;
  if (by_channel == 1u) {
    group = (head * chunks(job.rows) + row / GROUP) * width + column;
    at = row % GROUP;
  }
  let place = job.first_group + group;
  let bit = at * bits;
  let code = extractBits(codes[place * bits + bit / 32u], bit % 32u, bits);
  return scales[place].y + f32(code) * scales[place].x;
}

@compute @workgroup_size(lanes)
fn main(
  @builtin(workgroup_id) workgroup_id: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (workgroup_id.y * workgroups.x + workgroup_id.x) * lanes + lane;
  if (index >= job.count) {
    return;
  }
  let words = width / per_word;
  let word = index % words;
  let row = index / words % job.rows;
  let head = index / words / job.rows;
  let column = word * per_word;
  let elements = vec2f(
    element(head, row, column),
    element(head, row, column + per_word - 1u),
  );
  rows[job.start + head * job.head + row * words + word] = word_of(elements);
}
