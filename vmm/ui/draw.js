'use strict';
// The tiles on their canvases.

const shown = { first: null, second: null, view: 'first', regions: [], selected: null, bytes: 0 };
const guestOf = (view) => (view === 'second' ? shown.second : shown.first);

function regionsOf(guests, bytes) {
  const parts = [];
  for (const guest of guests) {
    const ratio = bytes / guest.bytes;
    for (const run of guest.runs) {
      parts.push([Math.floor(run.first / ratio), Math.ceil((run.first + run.count) / ratio)]);
    }
  }
  parts.sort((a, b) => a[0] - b[0]);
  const regions = [];
  for (const [begin, end] of parts) {
    const last = regions[regions.length - 1];
    if (last && begin - last.end <= LONGEST_GAP) last.end = Math.max(last.end, end);
    else regions.push({ begin, end });
  }
  return regions;
}

function sideOf(tiles) {
  for (const [most, side] of [[400, 24], [2048, 16], [8192, 12], [40000, 8], [140000, 5]]) if (tiles <= most) return side;
  return 3;
}
function columnsOf(width, side) {
  let best = 8;
  for (let power = 8; power * side <= width; power *= 2) {
    best = power;
    if (power * 1.5 * side <= width) best = power * 1.5;
  }
  return best;
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const all = {};
  for (const name of [...KINDS, ...CLASSES, 'focus', 'paper']) all[name] = style.getPropertyValue('--' + name).trim();
  return all;
}

// A tile is a column of its kinds, each as high as its share; a small one has the colour of the most telling.
function paintTile(pen, palette, tile, traps, x, y, side) {
  const inner = side >= 5 ? side - 1 : side;
  if (side < 8) {
    const kind = traps ? 'debugger' : ['private', 'swapped', 'shared', 'object'].find((each) => tile[each]) || 'untouched';
    pen.fillStyle = palette[tile.wired && side < 5 ? 'wired' : kind];
    pen.fillRect(x, y, inner, inner);
    if (tile.wired && side >= 5) { pen.fillStyle = palette.wired; pen.fillRect(x, y, inner, 1); }
    return;
  }
  pen.fillStyle = palette.untouched;
  pen.fillRect(x, y, inner, inner);
  let bottom = inner;
  for (const kind of ['private', 'swapped', 'shared', 'object']) {
    if (!tile[kind] || bottom <= 0) continue;
    const height = Math.min(bottom, Math.max(2, Math.round(inner * tile[kind] / tile.mapped)));
    pen.fillStyle = palette[kind];
    pen.fillRect(x, y + bottom - height, inner, height);
    bottom -= height;
  }
  if (tile.wired) {
    pen.strokeStyle = palette.wired;
    pen.lineWidth = 2;
    pen.strokeRect(x + 1, y + 1, inner - 2, inner - 2);
  }
  if (traps) {
    pen.fillStyle = palette.paper;
    pen.beginPath(); pen.arc(x + inner / 2, y + inner / 2, inner / 3 + 1, 0, 7); pen.fill();
    pen.fillStyle = palette.debugger;
    pen.beginPath(); pen.arc(x + inner / 2, y + inner / 2, inner / 3, 0, 7); pen.fill();
  }
}

function paint(region) {
  const { canvas, columns, side } = region;
  const scale = window.devicePixelRatio || 1;
  const rows = Math.ceil((region.end - region.begin) / columns);
  const width = columns * side, height = rows * side;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.width = width + 'px';
  canvas.style.height = height + 'px';
  const pen = canvas.getContext('2d');
  pen.scale(scale, scale);
  const palette = colours();
  const guest = guestOf(shown.view);
  let painted = 0;
  for (let number = region.begin; number < region.end; ++number) {
    const at = number - region.begin;
    const x = at % columns * side, y = Math.floor(at / columns) * side;
    if (shown.view === 'difference') {
      const kind = region.classes[at];
      if (!kind) continue;
      pen.fillStyle = palette[CLASSES[kind]];
      pen.fillRect(x, y, side >= 5 ? side - 1 : side, side >= 5 ? side - 1 : side);
    } else {
      const tile = guest.tileAt(number * shown.bytes, shown.bytes);
      if (!tile) continue;
      paintTile(pen, palette, tile, guest.trapTiles.get(number), x, y, side);
    }
    ++painted;
  }
  canvas.dataset.painted = painted;
}

// The mark lies over the canvas, so that following the pointer paints nothing.
function mark(region) {
  const at = shown.selected === null ? -1 : shown.selected - region.begin;
  region.marker.hidden = at < 0 || shown.selected >= region.end;
  region.marker.style.left = at % region.columns * region.side - 2 + 'px';
  region.marker.style.top = Math.floor(at / region.columns) * region.side - 2 + 'px';
  region.marker.style.width = region.marker.style.height = region.side + 3 + 'px';
}

function select(number) {
  shown.selected = number;
  shown.regions.forEach(mark);
  showDetails();
}

function listen(region) {
  const numberAt = (event) => {
    const box = region.canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / region.side);
    const row = Math.floor((event.clientY - box.top) / region.side);
    const number = region.begin + row * region.columns + column;
    return column >= 0 && column < region.columns && number >= region.begin && number < region.end ? number : null;
  };
  region.canvas.addEventListener('mousemove', (event) => {
    const number = numberAt(event);
    if (number !== null && number !== shown.selected) select(number);
  });
  region.canvas.addEventListener('focus', () => {
    if (shown.selected === null || shown.selected < region.begin || shown.selected >= region.end) select(region.begin);
  });
  region.canvas.addEventListener('keydown', (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -region.columns, ArrowDown: region.columns,
      PageUp: -8 * region.columns, PageDown: 8 * region.columns, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const from = shown.selected === null ? region.begin : shown.selected;
    select(Math.min(region.end - 1, Math.max(region.begin, from + step)));
  });
}

function layOut() {
  const guests = [shown.first, shown.second].filter(Boolean);
  shown.bytes = Math.max(...guests.map((guest) => guest.bytes));
  const of = shown.view === 'difference' ? guests : [guestOf(shown.view)];
  const wanted = regionsOf(of, shown.bytes);
  const tiles = wanted.reduce((sum, region) => sum + region.end - region.begin, 0);
  const side = sideOf(tiles);
  const room = element('regions').clientWidth - 115;
  const same = wanted.length === shown.regions.length && wanted.every((region, i) => {
    const old = shown.regions[i];
    return old.begin === region.begin && old.end === region.end && old.side === side && old.columns === columnsOf(room, side);
  });
  if (!same) {
    element('regions').replaceChildren();
    shown.regions = wanted.map((region) => build(region, side, columnsOf(room, side)));
  }
  if (shown.view === 'difference') compare();
  for (const region of shown.regions) {
    paint(region);
    mark(region);
  }
}

function build(region, side, columns) {
  Object.assign(region, { side, columns, canvas: make('canvas'), marker: make('div', undefined, 'marker') });
  const begin = region.begin * shown.bytes, end = region.end * shown.bytes;
  const heading = make('h2', hex(begin) + ' – ' + hex(end) + ' ');
  heading.append(make('span', size(end - begin) + ', ' + (region.end - region.begin) + ' tiles of ' + size(shown.bytes)));
  const row = make('div', undefined, 'region');
  const labels = make('div', undefined, 'rows');
  const rows = Math.ceil((region.end - region.begin) / columns);
  const every = Math.max(1, Math.ceil(14 / side)) * (rows > 400 ? 8 : rows > 60 ? 4 : 1);
  for (let i = 0; i < rows; i += every) {
    const label = make('span', hex((region.begin + i * columns) * shown.bytes));
    label.style.top = i * side + Math.max(0, (side - 12) / 2) + 'px';
    labels.append(label);
  }
  region.canvas.tabIndex = 0;
  region.canvas.setAttribute('role', 'application');
  region.canvas.setAttribute('aria-label', 'tiles of ' + hex(begin) + ' to ' + hex(end) + '; arrow keys move, the details follow');
  const map = make('div', undefined, 'map');
  map.append(region.canvas, region.marker);
  row.append(labels, map);
  element('regions').append(heading, row);
  listen(region);
  return region;
}

function compare() {
  shown.sums = CLASSES.map(() => 0);
  for (const region of shown.regions) {
    region.classes = new Uint8Array(region.end - region.begin);
    for (let number = region.begin; number < region.end; ++number) {
      const at = number * shown.bytes;
      const kind = classOf(shown.first.tileAt(at, shown.bytes), shown.second.tileAt(at, shown.bytes));
      region.classes[number - region.begin] = kind;
      shown.sums[kind] += 1;
    }
  }
}
