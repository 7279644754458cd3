// Quantises rows in groups of 32 (KIVI, arXiv 2402.02750): scale = (max - min) / (2^bits - 1), zero =
// min, code = (element - zero) / scale, rounded half to even. An invocation packs one group. See
// packed_rows.wgsl for where groups are, element.wgsl for how rows are read.

override lanes: u32; // invocations of a workgroup

@group(0) @binding(1) var<storage, read_write> codes: array<u32>; // [groups, bits]
@group(0) @binding(2) var<storage, read_write> scales: array<vec2f>; // [groups]: scale and zero
@group(0) @binding(3) var<storage, read> rows: array<u32>; // [slots, heads, rows, words of a row]

struct Group {
  first: u32, // element
  stride: u32, // from one element to the next
  length: u32,
}

fn group_at(index: u32) -> Group {
  var row: u32;
  var column: u32;
  var head: u32;
  var group: Group;
  if (by_channel == 1u) {
    let chunk = index / width;
    head = chunk / chunks(job.rows);
    row = chunk % chunks(job.rows) * GROUP;
    column = index % width;
    group.stride = width;
    group.length = min(GROUP, job.rows - row);
  } else {
    head = index / chunks(width) / job.rows;
    row = index / chunks(width) % job.rows;
    column = index % chunks(width) * GROUP;
    group.stride = 1u;
    group.length = min(GROUP, width - column);
  }
  group.first = (job.start + head * job.head) * per_word + row * width + column;
  return group;
}

fn element(group: Group, i: u32) -> f32 {
  let index = group.first + i * group.stride;
  let pair = elements_of(rows[index / per_word]);
  return select(pair.x, pair.y, index % per_word == 1u);
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
  let group = group_at(index);
  var low = element(group, 0u);
  var high = low;
  for (var i = 1u; i < group.length; i++) {
    low = min(low, element(group, i));
    high = max(high, element(group, i));
  }
  let most = f32((1u << bits) - 1u);
  let scale = (high - low) / most;
  let place = job.first_group + index;
  scales[place] = vec2f(scale, low);
  let per_code_word = GROUP / bits;
  for (var word = 0u; word < bits; word++) {
    var packed = 0u;
    for (var i = 0u; i < per_code_word; i++) {
      let at = word * per_code_word + i;
      if (at < group.length && scale > 0.0) {
        let code = clamp(round((element(group, at) - low) / scale), 0.0, most);
        packed |= u32(code) << (i * bits);
      }
    }
    codes[place * bits + word] = packed;
  }
}
