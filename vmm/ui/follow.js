'use strict';
// What a guest was, or is now, time after time.

const live = { timer: 0, on: true, ended: false, texts: ['', '', ''], refreshes: 0, changes: 0 };

function setState(text, kind) {
  element('state').textContent = text;
  element('state').className = kind || '';
}

function take(texts) {
  if (texts.every((text, i) => text === live.texts[i])) return;
  const documents = texts.map((text) => (text ? JSON.parse(text) : null));
  const isNew = live.texts[0] !== '';
  live.texts = texts;
  const holders = documents[2] || {};
  shown.first = new Guest(documents[0], holders);
  if (documents[1]) {
    if (!shown.second) shown.view = 'difference';
    shown.second = new Guest(documents[1], holders);
    // A fork has its parent's name.
    if (shown.second.name === shown.first.name) {
      for (const guest of [shown.first, shown.second]) guest.name += ' (' + guest.document.pid + ')';
    }
  }
  // An address behind # names a tile: page.html#0x100000.
  const named = Number(location.hash.slice(1) || NaN);
  if (!isNew && named >= 0) shown.selected = Math.floor(named / shown.first.bytes);
  if (isNew) document.body.dataset.changes = ++live.changes;
  showAll();
}

class Refused extends Error {}
async function load(path) {
  if (!path) return '';
  const answer = await fetch(path, { cache: 'no-store', credentials: 'same-origin' });
  const text = await answer.text();
  if (answer.ok) return text;
  let words = text;
  try { words = JSON.parse(text).fault_message; } catch (error) { /* then it is the text itself */ }
  if (answer.status === 400) throw new Refused(words);
  throw new Error(words);
}

async function refresh() {
  const began = performance.now();
  try {
    take(await Promise.all([load(start.tiles), load(start.other_tiles), load(start.holders)]));
    document.body.dataset.refreshes = ++live.refreshes;
    const paused = [shown.first, shown.second].filter((guest) => guest && guest.document.paused);
    setState((paused.length ? paused.map((guest) => guest.name).join(', ') + ' paused' : 'running') + ', as of ' + new Date().toLocaleTimeString(), 'live');
  } catch (error) {
    if (error instanceof Refused) setState(error.message);
    else return end();
  }
  if (live.on) live.timer = setTimeout(refresh, Math.max(1000, 5 * (performance.now() - began)));
}

function end() {
  live.on = false;
  live.ended = true;
  document.body.dataset.ended = 'true';
  setState('The guest has ended, or cannot be reached any more' + (shown.first ? '; this is what was seen last' : ''), 'ended');
  showRefresh();
}

function showRefresh() {
  element('refresh').hidden = !start.tiles;
  element('refresh').textContent = live.on ? 'Stop refreshing' : live.ended ? 'Try again' : 'Refresh';
}
element('refresh').addEventListener('click', () => {
  live.on = !live.on;
  live.ended = false;
  clearTimeout(live.timer);
  if (live.on) refresh(); else setState('not refreshed any more');
  showRefresh();
});
let resized = 0;
window.addEventListener('resize', () => {
  clearTimeout(resized);
  resized = setTimeout(() => { if (shown.first) layOut(); }, 100);
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { if (shown.first) layOut(); });

showRefresh();
if (start.first) {
  take([JSON.stringify(start.first), start.other_first ? JSON.stringify(start.other_first) : '',
    start.holders_first ? JSON.stringify(start.holders_first) : '']);
  setState('as it was when this file was written');
}
if (start.tiles) refresh();
