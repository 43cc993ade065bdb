'use strict';
// What the page says beside the tiles.

function legendItem(kind, name, value, help) {
  const item = make('li');
  item.dataset.kind = kind;
  item.append(make('span', undefined, 'swatch ' + kind), make('span', name), make('b', value), make('small', help));
  return item;
}

function showLegend() {
  const legend = element('legend');
  if (shown.view === 'difference') {
    const a = shown.first.name, b = shown.second.name;
    const names = [null, ['untouched in both', 'or in neither\'s view'], ['shared by both', 'the same object, unchanged'],
      ['private to ' + a, 'written there only'], ['private to ' + b, 'written there only'],
      ['different', 'each has pages of its own, or another object']];
    legend.replaceChildren(...CLASSES.slice(1).map((kind, i) =>
      legendItem(kind, names[i + 1][0], size(shown.sums[i + 1] * shown.bytes), names[i + 1][1])));
    return;
  }
  const guest = guestOf(shown.view), sums = guest.totals();
  legend.replaceChildren(...KINDS.map((kind) => {
    const value = kind === 'debugger' ? String(sums.debugger) : size(sums[kind]);
    const help = kind === 'shared' && sums.others ? 'with ' + sums.others + (sums.others === 1 ? ' other' : ' others')
      : KIND_HELP[kind];
    const item = legendItem(kind, kind, value, help);
    item.dataset.amount = sums[kind];
    return item;
  }));
}

function listOf(parent, title, items, total) {
  if (!items.length) return;
  parent.append(make('h3', title));
  const list = make('ul');
  for (const text of items.slice(0, MOST_SHOWN)) list.append(make('li', text));
  parent.append(list);
  if (total > MOST_SHOWN) parent.append(make('p', 'and ' + (total - MOST_SHOWN) + ' more', 'soft'));
}

function pageTable(columns) {
  const table = make('table');
  const head = make('tr');
  head.append(make('th', 'pages'), ...columns.map(([name]) => make('th', name, 'n')));
  table.append(head);
  for (const kind of ['untouched', 'object', 'private', 'shared', 'swapped', 'wired']) {
    const row = make('tr');
    row.append(make('td', kind), ...columns.map(([, tile]) => make('td', tile ? String(tile[kind]) : '–', 'n')));
    table.append(row);
  }
  return table;
}

function describe(parent, guest, address, bytes) {
  const mappings = guest.mappingsAt(address, bytes);
  listOf(parent, 'Mappings of ' + guest.name, mappings.map((each) => each.name + ', ' + each.kind +
    (each.object ? ': ' + each.object + ' + ' + hex(each.offset + Math.max(0, address - each.begin)) : '')), mappings.length);
  const tile = guest.tileAt(address, bytes);
  if (tile && tile.shared) {
    parent.append(make('p', tile.shared + ' pages are shared with ' + tile.others + (tile.others === 1 ? ' other' : ' others')));
  }
  const pins = guest.document.pins.filter((pin) => pin.begin < address + bytes && pin.end > address);
  listOf(parent, 'Pins', pins.map((pin) => pin.owner + ', ' + pin.access + ': ' + hex(pin.begin) + ' – ' + hex(pin.end)), pins.length);
  const traps = guest.document.traps.filter((trap) => trap >= address && trap < address + bytes);
  listOf(parent, 'Breakpoints', traps.map(hex), traps.length);
}

function showDetails() {
  if (shown.selected === null || !shown.first) return;
  const details = element('details');
  const address = shown.selected * shown.bytes, bytes = shown.bytes;
  details.replaceChildren(make('h2', hex(address) + ' – ' + hex(address + bytes)));
  const guests = shown.view === 'difference' ? [shown.first, shown.second] : [guestOf(shown.view)];
  const tiles = guests.map((guest) => [guests.length > 1 ? guest.name : size(bytes), guest.tileAt(address, bytes)]);
  if (tiles.every(([, tile]) => !tile)) {
    details.append(make('p', 'no memory here', 'soft'));
    return;
  }
  if (guests.length > 1) {
    const kind = CLASSES[classOf(tiles[0][1], tiles[1][1])];
    const item = document.querySelector('#legend li[data-kind="' + kind + '"] span:nth-child(2)');
    if (item) details.append(make('p', item.textContent));
  }
  details.append(pageTable(tiles));
  for (const guest of guests) describe(details, guest, address, bytes);
}

function showMappings() {
  const guest = guestOf(shown.view === 'difference' ? 'first' : shown.view);
  const all = guest.document.mappings;
  element('mapping-count').textContent = 'of ' + guest.name + ': ' + all.length + (all.length > MOST_MAPPINGS ? ', the first ' + MOST_MAPPINGS + ' are listed' : '');
  const head = make('tr');
  head.append(make('th', 'guest-physical range'), make('th', 'size', 'n'), make('th', 'name'), make('th', 'writes'), make('th', 'object'));
  const rows = all.slice(0, MOST_MAPPINGS).map((each) => {
    const row = make('tr');
    row.append(make('td', hex(each.begin) + ' – ' + hex(each.end), 'm'), make('td', size(each.end - each.begin), 'n'),
      make('td', each.name, 't'), make('td', each.kind), make('td', each.object || '', 't'));
    return row;
  });
  element('mappings').replaceChildren(head, ...rows);
}

function showViews() {
  const views = element('views');
  views.hidden = !shown.second;
  if (!shown.second) return;
  const names = { first: shown.first.name, second: shown.second.name, difference: 'difference' };
  views.replaceChildren();
  for (const view of Object.keys(names)) {
    const button = make('button', names[view]);
    button.type = 'button';
    button.setAttribute('aria-pressed', String(view === shown.view));
    button.addEventListener('click', () => { shown.view = view; showAll(); });
    views.append(button, ' ');
  }
}

function showAll() {
  const names = [shown.first, shown.second].filter(Boolean).map((guest) => guest.name).join(' and ');
  document.title = names + ': memory';
  element('title').textContent = 'Memory of ' + names;
  element('note').textContent = 'A tile is ' + size(shown.first.bytes) + ' of guest-physical memory' +
    (shown.first.bytes > 2097152 ? ' (larger than 2 MiB, because there are too many different ones)' : '') +
    '; its colours stand as high as their share of it, at least a line each. In small tiles the first of these is seen: ' +
    'debugger, private, swapped, shared, object.';
  showViews();
  layOut();
  showLegend();
  showMappings();
  showDetails();
}
