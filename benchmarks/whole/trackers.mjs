// Ten thousand hybrid torrents that rest, at three trackers on loopback, in the first minutes after the start: how many
// requests leave in the busiest second, and what they cost beside the same torrents without trackers. The stream is even
// from the start on, so later minutes are like these.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { root } from '../../scripts/cache.mjs';
import { manyTorrents } from './many-torrents.mjs';

const seeder = join(root, 'benchmarks', 'whole', 'idle-program.mjs');
const trackers = join(root, 'benchmarks', 'whole', 'trackers-program.mjs');
const count = 10_000;
const trackerCount = 3;
const measuredMs = 30_000;
/** Behind the first burst, and whatever a start costs. */
const settleMs = 3000;

export async function run({ folder, report, runs }) {
  const torrents = join(folder, 'torrents');
  const state = join(folder, 'state');
  mkdirSync(torrents);
  manyTorrents(torrents, count);
  // The first start hashes all.
  await measure(torrents, state, { trackers: false }, 0);
  const none = [];
  for (let n = 0; n < runs; n++) none.push(await measure(torrents, state, { trackers: false }, measuredMs));
  for (const scheme of ['http', 'udp']) {
    const shared = { case: `${count} torrents at ${trackerCount} ${scheme} trackers`, subject: 'blockswarm' };
    const all = [];
    for (let n = 0; n < runs; n++) {
      const server = new Lines(spawn(process.execPath, [trackers, scheme, String(trackerCount)], { stdio }));
      const { urls } = await server.next();
      const facts = await measure(torrents, state, { tracker: urls }, measuredMs);
      const seen = await server.ask();
      await server.stop();
      assert.ok(seen.names > 100, 'different torrents are announced');
      all.push({ ...facts, ...seen });
    }
    const add = (metric, unit, values, atMost) => report.add({ ...shared, metric, unit, values, atMost });
    const of = (field) => all.map((facts) => facts[field]);
    add('requests in the busiest second', 'requests', of('busiestSecond'), 50);
    add('requests', '1/s', of('perSecond'));
    add('processor', '% of a core', of('cpuPercent'), 3);
    add(
      'processor, of that for trackers',
      '% of a core',
      all.map(({ cpuPercent }, n) => cpuPercent - none[n].cpuPercent),
    );
    add(
      'JavaScript heap a torrent, for trackers',
      'bytes',
      all.map(({ heapUsed }, n) => (heapUsed - none[n].heapUsed) / count),
    );
  }
  report.note(
    'two infohashes of each torrent at each tracker; intervals of 30 minutes; nobody else on the trackers',
  );
}

const stdio = ['pipe', 'pipe', 'inherit'];

/** A program that prints a line of JSON for each line that it is given. */
class Lines {
  #child;
  #lines;

  constructor(child) {
    this.#child = child;
    this.#lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  }

  async next() {
    return JSON.parse((await this.#lines.next()).value);
  }

  ask() {
    this.#child.stdin.write('\n');
    return this.next();
  }

  async stop() {
    this.#child.stdin.end();
    await once(this.#child, 'exit');
  }
}

async function measure(folder, state, options, ms) {
  const more = JSON.stringify({ dht: false, ...options });
  const program = new Lines(spawn(process.execPath, ['--expose-gc', seeder, folder, state, more], { stdio }));
  const { heapUsed } = await program.next();
  await delay(settleMs);
  const [before, startMs] = [await program.ask(), performance.now()];
  await delay(ms);
  const after = await program.ask();
  const cpuPercent = (100 * (after.cpuMs - before.cpuMs)) / Math.max(1, performance.now() - startMs);
  await program.stop();
  return { heapUsed, cpuPercent };
}
