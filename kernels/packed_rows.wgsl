// Put behind pack_rows.wgsl and unpack_rows.wgsl: where groups of 32 elements are.
//
// By token, a group lies along a row: group (head * rows + row) * ceil(width / 32) + column / 32.
// By channel, it lies along a column: group (head * ceil(rows / 32) + row / 32) * width + column.
// A group at an edge may have fewer elements. It has `bits` words of codes, the lowest bits first.

override heads: u32;
override width: u32;
override bits: u32; // of an element: 4 or 8
override by_channel: u32; // 1; or 0: by token

const GROUP = 32u;

struct Packing {
  rows: u32,
  count: u32, // invocations
  start: u32, // word of the first row of the first head
  head: u32, // words from one head to the next
  first_group: u32,
}

@group(0) @binding(0) var<uniform> job: Packing;

fn chunks(length: u32) -> u32 {
  return (length + GROUP - 1u) / GROUP;
}
