'use strict';
// What comes from the guest or its configuration gets into the page by textContent only.
const start = JSON.parse(document.getElementById('start').textContent);
const PAGE = 4096;
const FIELDS = ['first', 'count', 'mapped', 'object', 'private', 'shared', 'swapped', 'wired', 'others', 'ground'];
const KINDS = ['untouched', 'object', 'private', 'shared', 'swapped', 'wired', 'debugger'];
const KIND_HELP = {
  untouched: 'mapped, never touched or not in view', object: 'pages of the object below',
  private: "this guest's own", shared: 'held by others, too', swapped: 'in the swap area',
  wired: 'held by pins (outlined)', debugger: 'breakpoints in memory' };
const CLASSES = ['none', 'untouched', 'same', 'left', 'right', 'different'];
const MOST_SHOWN = 8;       // of a list in the details
const MOST_MAPPINGS = 500;  // rows of the table
const LONGEST_GAP = 32;     // tiles of a hole that is drawn

const element = (id) => document.getElementById(id);
function make(tag, text, kind) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}
function size(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let unit = 0;
  while (bytes >= 1024 && unit + 1 < units.length) { bytes /= 1024; ++unit; }
  return (bytes >= 100 || Number.isInteger(bytes) ? Math.round(bytes) : bytes.toFixed(1)) + ' ' + units[unit];
}
const hex = (address) => '0x' + address.toString(16).padStart(9, '0');

// One guest.

class Guest {
  constructor(document_, holders) {
    this.document = document_;
    this.bytes = document_.tile_bytes;
    this.runs = document_.runs.map((values) => Object.fromEntries(FIELDS.map((name, i) => [name, values[i]])));
    this.name = String(document_.machine) || 'guest';
    this.trapTiles = new Map();
    for (const trap of document_.traps) {
      const number = Math.floor(trap / this.bytes);
      this.trapTiles.set(number, (this.trapTiles.get(number) || 0) + 1);
    }
    for (const run of this.runs) this.tell(run, holders || {});
  }
  // Pages of an object that other guests use are shared with them.
  tell(run, holders) {
    run.ground = BigInt(this.document.grounds[run.ground]);
    run.guests = 0;
    if (run.object !== 0) {
      const below = this.mappingsAt(run.first * this.bytes, this.bytes).filter((each) => each.identity);
      const counts = below.map((each) => Math.max(0, (holders[each.identity] || 0) - 1));
      run.guests = counts.length ? Math.min(...counts) : 0;
    }
    if (run.guests > 0) {
      run.shared += run.object;
      run.object = 0;
      run.others = Math.max(run.others, run.guests);
    }
    run.untouched = run.mapped - run.object - run.private - run.shared - run.swapped;
  }
  mappingsAt(address, bytes) {
    return slice(this.document.mappings, address, address + bytes);
  }
  runAt(number) {
    let low = 0, high = this.runs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.runs[middle].first + this.runs[middle].count <= number) low = middle + 1; else high = middle;
    }
    const run = this.runs[low];
    return run && run.first <= number ? run : null;
  }
  // What lies at an address, in tiles of at least this guest's size.
  tileAt(address, bytes) {
    if (bytes === this.bytes) return this.runAt(address / bytes);
    let sum = null;
    for (let at = address; at < address + bytes; at += this.bytes) {
      const run = this.runAt(at / this.bytes);
      if (!run) continue;
      if (!sum) { sum = Object.assign({}, run); continue; }
      for (const kind of ['mapped', 'object', 'private', 'shared', 'swapped', 'wired', 'untouched']) sum[kind] += run[kind];
      sum.ground = BigInt.asUintN(64, sum.ground + run.ground);
    }
    return sum;
  }
  totals() {
    const sums = { debugger: this.document.trap_count, others: 0 };
    for (const kind of KINDS.slice(0, -1)) sums[kind] = 0;
    for (const run of this.runs) {
      for (const kind of KINDS.slice(0, -1)) sums[kind] += run[kind] * run.count * PAGE;
      if (run.shared) sums.others = Math.max(sums.others, run.others);
    }
    return sums;
  }
}

// Of ranges in ascending order that do not overlap, those that reach into [begin, end).
function slice(ranges, begin, end) {
  let low = 0, high = ranges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranges[middle].end <= begin) low = middle + 1; else high = middle;
  }
  const found = [];
  for (; low < ranges.length && ranges[low].begin < end; ++low) found.push(ranges[low]);
  return found;
}

// Two guests.

function classOf(a, b) {
  if (!a && !b) return 0;
  if (!a) return 4;
  if (!b) return 3;
  // Pages of an object are what both have below; what is held within one process only is not.
  const own = (tile) => tile.private + tile.swapped + (tile.guests ? 0 : tile.shared);
  const touched = (tile) => tile.mapped !== tile.untouched;
  if (a.ground !== b.ground) return 5;
  if (own(a) && own(b)) return 5;
  if (own(a)) return 3;
  if (own(b)) return 4;
  return touched(a) || touched(b) ? 2 : 1;
}
