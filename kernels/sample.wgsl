// What a choice needs to know of a row of logits (lib/sampling/summary.ts). One workgroup a row.
//
// Logits become keys: integers in the same order, so that the largest are found by their digits,
// exactly. Keys are a copy; the logits stay as they are. Where ids matter (the draw, ties) each
// invocation has a run of consecutive ids: its share.

override lanes: u32; // invocations of a workgroup
override vocabulary: u32; // below 2^24: counts are added up as f32
override kept: u32; // how many of the largest logits are wanted: at most 256, and `vocabulary`

struct Request {
  row: u32, // of the logits
  first_change: u32,
  changes: u32,
  inverse_temperature: f32,
  fraction: f32,
  serial: u32, // given back with the answer
}

struct Change {
  token: u32,
  divisor: f32, // of a positive logit; a negative one is multiplied
  added: f32,
}

struct Candidate {
  token: u32,
  key: u32,
}

struct Summary {
  serial: u32,
  bad: u32, // the complement of the lowest id whose logit is NaN or Infinity; 0 if none is
  bad_bits: u32, // its logit
  raw_max: u32, // key of the largest logit, before changes
  raw_sum: f32, // of exp(logit - largest), before changes
  max: u32, // key of the largest logit, after changes
  sum: f32, // of exp((logit - largest) / temperature), after changes
  drawn: u32, // token
  drawn_key: u32,
  unused: u32,
  candidates: array<Candidate, 256>, // in no order; the first `kept` of them
}

@group(0) @binding(0) var<storage, read> logits: array<u32>; // bits of f32, [rows, vocabulary]
@group(0) @binding(1) var<storage, read> requests: array<Request>; // [workgroups]
@group(0) @binding(2) var<storage, read> changes: array<Change>;
@group(0) @binding(3) var<storage, read_write> keys: array<u32>; // [workgroups, vocabulary]
@group(0) @binding(4) var<storage, read_write> summaries: array<Summary>; // [workgroups]

const DIGITS = 256u;
const BITS = 8u;
const SIGN = 0x80000000u;
const EXPONENT = 0x7f800000u;
const NEGATIVE_INFINITY = 0xff800000u;
const NEGATIVE_INFINITY_KEY = 0x007fffffu;
const UNDERFLOW = -200.0; // exp of it is 0

var<workgroup> sums: array<f32, lanes>;
var<workgroup> digits: array<atomic<u32>, DIGITS>;
var<workgroup> digit: vec2u; // the one that was found, and how many are still wanted among its keys
var<workgroup> bad: atomic<u32>;
var<workgroup> raw_max: atomic<u32>;
var<workgroup> max_key: atomic<u32>;
var<workgroup> first_over: atomic<u32>; // complement of the first invocation whose share ends over the mass drawn at
var<workgroup> last_share: atomic<u32>; // the last invocation whose share has mass
var<workgroup> filled: atomic<u32>;

// Bits are compared, never numbers: an implementation may take NaN and infinities to be absent.
fn is_bad(bits: u32) -> bool {
  return (bits & EXPONENT) == EXPONENT && bits != NEGATIVE_INFINITY;
}

fn key_of(bits: u32) -> u32 {
  let plain = select(bits, 0u, bits == SIGN); // -0 equals 0
  return select(plain | SIGN, ~plain, (plain & SIGN) != 0u);
}

fn bits_of(key: u32) -> u32 {
  return select(~key, key ^ SIGN, (key & SIGN) != 0u);
}

fn weight(key: u32, max: f32, inverse_temperature: f32) -> f32 {
  if (key == NEGATIVE_INFINITY_KEY) {
    return 0.0;
  }
  let below = (bitcast<f32>(bits_of(key)) - max) * inverse_temperature;
  return exp(clamp(below, UNDERFLOW, 0.0));
}

// Where a share begins. That of invocation `lanes` is the end of all.
fn share(lane: u32) -> u32 {
  return min(lane * ((vocabulary + lanes - 1u) / lanes), vocabulary);
}

// The mass of a share. Sums of 16 are added up, so that rounding stays at that of 16 + lanes / 16 numbers or so.
fn mass_of(base: u32, lane: u32, max: f32, inverse_temperature: f32) -> f32 {
  let end = share(lane + 1u);
  var sum = 0.0;
  for (var id = share(lane); id < end; id += 16u) {
    var part = 0.0;
    for (var i = id; i < min(id + 16u, end); i++) {
      part += weight(keys[base + i], max, inverse_temperature);
    }
    sum += part;
  }
  return sum;
}

// Leaves in `sums` the sum of the values of this and all earlier invocations, added in pairs.
fn scan(lane: u32, value: f32) {
  workgroupBarrier();
  sums[lane] = value;
  workgroupBarrier();
  for (var reach = 1u; reach < lanes; reach *= 2u) {
    var sum = sums[lane];
    if (lane >= reach) {
      sum += sums[lane - reach];
    }
    workgroupBarrier();
    sums[lane] = sum;
    workgroupBarrier();
  }
}

fn load(row: u32, base: u32, lane: u32) {
  var largest = 0u;
  for (var id = lane; id < vocabulary; id += lanes) {
    let bits = logits[row * vocabulary + id];
    if (is_bad(bits)) {
      atomicMax(&bad, ~id);
    }
    let key = key_of(bits);
    keys[base + id] = key;
    largest = max(largest, key);
  }
  atomicMax(&raw_max, largest);
}

fn change(request: Request, base: u32, lane: u32) {
  for (var i = lane; i < request.changes; i += lanes) {
    let wanted = changes[request.first_change + i];
    let bits = bits_of(keys[base + wanted.token]);
    var changed = NEGATIVE_INFINITY;
    if (bits != NEGATIVE_INFINITY && bitcast<u32>(wanted.added) != NEGATIVE_INFINITY) {
      let logit = bitcast<f32>(bits);
      let penalised = select(logit * wanted.divisor, logit / wanted.divisor, logit > 0.0);
      changed = bitcast<u32>(penalised + wanted.added);
    }
    if (is_bad(changed)) {
      atomicMax(&bad, ~wanted.token);
    }
    keys[base + wanted.token] = key_of(changed);
  }
}

fn find_max(base: u32, lane: u32) {
  var largest = 0u;
  for (var id = lane; id < vocabulary; id += lanes) {
    largest = max(largest, keys[base + id]);
  }
  atomicMax(&max_key, largest);
}

// In `drawer`'s share, the first id at which the running sum is over `mass`, or the last with weight.
fn draw(index: u32, drawer: u32, mass: f32, max: f32, inverse_temperature: f32) {
  let base = index * vocabulary;
  var running = 0.0;
  if (drawer > 0u) {
    running = sums[drawer - 1u];
  }
  for (var id = share(drawer); id < share(drawer + 1u); id++) {
    let key = keys[base + id];
    let own = weight(key, max, inverse_temperature);
    running += own;
    if (own > 0.0) {
      summaries[index].drawn = id;
      summaries[index].drawn_key = key;
      if (running > mass) {
        break;
      }
    }
  }
}

// The digit in which the key of rank `wanted` lies, among the keys whose higher digits are `higher`.
fn find_digit(base: u32, lane: u32, place: u32, higher: u32, wanted: u32) {
  for (var i = lane; i < DIGITS; i += lanes) {
    atomicStore(&digits[i], 0u);
  }
  workgroupBarrier();
  let shift = place * BITS;
  for (var id = lane; id < vocabulary; id += lanes) {
    let key = keys[base + id];
    // In two steps, for no shift may be by 32.
    if (((key >> shift) >> BITS) == higher) {
      atomicAdd(&digits[(key >> shift) & (DIGITS - 1u)], 1u);
    }
  }
  workgroupBarrier();
  if (lane == 0u) {
    var left = wanted;
    var found = DIGITS - 1u;
    for (; found > 0u; found--) {
      let count = atomicLoad(&digits[found]);
      if (count >= left) {
        break;
      }
      left -= count;
    }
    digit = vec2u(found, left);
  }
  workgroupBarrier();
}

// All above the threshold, and of those that equal it the ones of the lowest ids.
fn gather(index: u32, lane: u32, threshold: u32, ties: u32) {
  let base = index * vocabulary;
  let end = share(lane + 1u);
  var equal = 0u;
  for (var id = share(lane); id < end; id++) {
    equal += u32(keys[base + id] == threshold);
  }
  scan(lane, f32(equal));
  var rank = u32(sums[lane]) - equal;
  for (var id = share(lane); id < end; id++) {
    let key = keys[base + id];
    if (key > threshold) {
      summaries[index].candidates[atomicAdd(&filled, 1u)] = Candidate(id, key);
    } else if (key == threshold) {
      if (rank < ties) {
        summaries[index].candidates[kept - ties + rank] = Candidate(id, key);
      }
      rank++;
    }
  }
}

@compute @workgroup_size(lanes)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = group.x;
  let base = index * vocabulary;
  let request = requests[index];
  let end = lanes - 1u;

  load(request.row, base, lane);
  workgroupBarrier();
  storageBarrier();
  scan(lane, mass_of(base, lane, bitcast<f32>(bits_of(atomicLoad(&raw_max))), 1.0));
  if (lane == 0u) {
    summaries[index].raw_sum = sums[end];
  }

  change(request, base, lane);
  workgroupBarrier();
  storageBarrier();
  find_max(base, lane);
  workgroupBarrier();

  let max = bitcast<f32>(bits_of(atomicLoad(&max_key)));
  let own = mass_of(base, lane, max, request.inverse_temperature);
  scan(lane, own);
  let mass = request.fraction * sums[end];
  if (own > 0.0) {
    atomicMax(&last_share, lane);
    if (sums[lane] > mass) {
      atomicMax(&first_over, ~lane);
    }
  }
  workgroupBarrier();
  let drawer = min(~atomicLoad(&first_over), atomicLoad(&last_share));
  if (lane == drawer) {
    draw(index, drawer, mass, max, request.inverse_temperature);
  }
  if (lane == 0u) {
    summaries[index].sum = sums[end];
  }

  var threshold = 0u;
  var ties = kept;
  for (var place = 4u; place > 0u; place--) {
    find_digit(base, lane, place - 1u, threshold, ties);
    threshold = threshold << BITS | digit.x;
    ties = digit.y;
    workgroupBarrier();
  }
  gather(index, lane, threshold, ties);

  if (lane == 0u) {
    let worst = atomicLoad(&bad);
    summaries[index].serial = request.serial;
    summaries[index].bad = worst;
    summaries[index].bad_bits = logits[request.row * vocabulary + select(0u, ~worst, worst != 0u)];
    summaries[index].raw_max = atomicLoad(&raw_max);
    summaries[index].max = atomicLoad(&max_key);
  }
}
