// Downloading 2 GiB (`--size`, when that is less) from four bare seeders on loopback to disk with full checks, v1 and v2.
// Each downloader is timed from its start to its end, all processes of it. Every run's file is compared byte for byte.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fdatasyncSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { parseMetainfo } from '../../dist/metainfo/metainfo.js';
import { root } from '../../scripts/cache.mjs';
import { ensureDebianPeers } from '../../scripts/debian-peers.mjs';
import { ensureLibtorrent } from '../../scripts/python-peers.mjs';
import { findRqbit } from '../../scripts/rqbit.mjs';
import { cargoProgram } from '../cargo.mjs';
import { makeFile } from '../content.mjs';
import { ours, present } from '../contest.mjs';
import { pythonVersion } from '../makers.mjs';
import { freePort, measured, start } from '../programs.mjs';
import { median } from '../report.mjs';

const script = new URL('../libtorrent_bench.py', import.meta.url).pathname;
const cli = join(root, 'dist', 'cli', 'main.js');
const pieceBytes = 2 ** 22;
const seeders = 4;
const mostMiB = 2048;
/** Of the better of libtorrent and rqbit: wanted at most. */
const wanted = { cpuSeconds: 0.5, seconds: 0.7 };
const rivals = ['libtorrent', 'rqbit'];

export async function run({ folder, report, runs, sizeMiB }) {
  const name = 'content.bin';
  const content = { path: join(folder, name), lengthBytes: Math.min(sizeMiB, mostMiB) * 2 ** 20 };
  makeFile(content.path, content.lengthBytes);
  const there = present(downloaders(), report);
  const make = [ensureLibtorrent(), '-BW', 'ignore', script, 'make'];
  for (const kind of ['v1', 'v2']) {
    const torrent = join(folder, `${kind}.torrent`);
    await measured([...make, kind, String(pieceBytes), content.path, torrent]);
    await contest({
      kind,
      torrent,
      content,
      folder,
      report,
      runs,
      subjects: there.filter((one) => one.kinds.includes(kind)),
    });
  }
}

async function contest({ kind, torrent, content, folder, report, runs, subjects }) {
  const { infoHashV1, infoHashV2 } = parseMetainfo(readFileSync(torrent));
  const infoHash = Buffer.from((infoHashV1 ?? infoHashV2).subarray(0, 20)).toString('hex');
  const common = ['--info-hash', infoHash, '--piece-length', String(pieceBytes)];
  const load = cargoProgram('load');
  const running = [];
  const figures = new Map(subjects.map(({ name }) => [name, []]));
  try {
    for (let n = 0; n < seeders; n++) {
      running.push(await start(load, ['seed', '--file', content.path, ...common], /"port":(\d+)/));
    }
    const peers = running.map(({ match }) => ({ host: '127.0.0.1', port: Number(match[1]) }));
    for (let i = 0; i < runs; i++) {
      for (const subject of subjects) {
        const out = join(folder, 'out');
        mkdirSync(out);
        warmMemory(join(folder, 'warm'), content.lengthBytes);
        const cost = await subject.get({ torrent, out, peers });
        const same = spawnSync('cmp', ['-s', content.path, join(out, 'content.bin')]).status === 0;
        assert.ok(same, `${subject.name} brings the whole file, byte for byte`);
        rmSync(out, { recursive: true });
        figures.get(subject.name).push(cost);
      }
    }
  } finally {
    for (const { stop } of running) await stop();
  }
  tell({ kind, lengthBytes: content.lengthBytes, report, figures });
}

function tell({ kind, lengthBytes, report, figures }) {
  const gib = lengthBytes / 2 ** 30;
  const row = { case: `${kind}, ${lengthBytes / 2 ** 20} MiB from ${seeders} seeders` };
  for (const [subject, costs] of figures) {
    const peer = subject === rivals[0] ? undefined : rivals[0];
    const add = (metric, unit, value) =>
      report.add({ ...row, subject, metric, unit, values: costs.map(value), peer });
    add('cpu', 's/GiB', ({ cpuSeconds }) => cpuSeconds / gib);
    add('rate', 'GiB/s', ({ seconds }) => gib / seconds);
    add('peak memory', 'MiB', ({ peakMiB }) => peakMiB);
  }
  for (const [metric, what] of Object.entries({ cpuSeconds: 'cpu', seconds: 'time' })) {
    const values = (name) => figures.get(name).map((cost) => cost[metric]);
    const best = Math.min(...rivals.filter((name) => figures.has(name)).map((name) => median(values(name))));
    report.add({
      ...row,
      subject: ours,
      metric: `${what} over the better of ${rivals.join(' and ')}`,
      unit: '×',
      values: values(ours).map((value) => value / best),
      atMost: wanted[metric],
    });
  }
}

/**
 * Has the memory there that the page cache will take. Where a hypervisor takes freed memory back, the first use of a page
 * costs several times the copy into it, and whoever comes first would pay for all.
 */
function warmMemory(path, lengthBytes) {
  const chunk = Buffer.alloc(2 ** 22, 1);
  const file = openSync(path, 'w');
  for (let at = 0; at < lengthBytes; at += chunk.length) writeSync(file, chunk);
  fdatasyncSync(file);
  closeSync(file);
  rmSync(path);
}

function downloaders() {
  const python = ensureLibtorrent();
  const rqbit = findRqbit();
  const { aria2 } = ensureDebianPeers();
  const named = (peers) => peers.map(({ host, port }) => `${host}:${port}`);
  return [
    {
      name: 'libtorrent',
      version: pythonVersion(python, 'libtorrent'),
      kinds: ['v1', 'v2'],
      get: ({ torrent, out, peers }) =>
        measured([python, '-BW', 'ignore', script, 'get', torrent, out, ...named(peers)]),
    },
    {
      name: 'rqbit',
      version: [rqbit, '--version'],
      missing: rqbit ? '' : 'it was not built; `node scripts/rqbit.mjs` does it, in minutes',
      kinds: ['v1'],
      get: async ({ torrent, out, peers }) => {
        const [port, api] = [await freePort(), await freePort()];
        const args = ['--disable-dht', '--disable-lsd', '--disable-trackers', '--listen-ip', '127.0.0.1'];
        args.push('--listen-port', String(port), '--http-api-listen-addr', `127.0.0.1:${api}`, 'download');
        return measured([
          rqbit,
          ...args,
          '-e',
          '-o',
          out,
          '--initial-peers',
          named(peers).join(','),
          torrent,
        ]);
      },
    },
    {
      name: 'aria2',
      version: [aria2, '--version'],
      missing: aria2 ? '' : 'it is not installed',
      kinds: ['v1'],
      get: async ({ torrent, out, peers }) => {
        // It takes addresses from trackers only.
        const tracker = await trackerOf(peers);
        const args = ['--no-conf', '--enable-dht=false', '--enable-dht6=false', '--bt-enable-lpd=false'];
        args.push('--enable-peer-exchange=false', '--disable-ipv6=true', '--seed-time=0', '--quiet=true');
        args.push(`--listen-port=${await freePort()}`, `--bt-tracker=${tracker.url}`, '-d', out, torrent);
        try {
          return await measured([aria2, ...args]);
        } finally {
          tracker.close();
        }
      },
    },
    {
      name: ours,
      kinds: ['v1', 'v2'],
      get: ({ torrent, out, peers }) => {
        const args = ['get', torrent, '--out', out, '--listen', '127.0.0.1:0', '--no-dht', '--quiet'];
        args.push('--state-dir', join(out, 'state'));
        return measured([
          process.execPath,
          cli,
          ...args,
          ...named(peers).flatMap((peer) => ['--peer', peer]),
        ]);
      },
    },
  ];
}

async function trackerOf(peers) {
  const compact = Buffer.concat(
    peers.map(({ host, port }) => Buffer.from([...host.split('.').map(Number), port >> 8, port & 255])),
  );
  const answer = Buffer.concat([
    Buffer.from(`d8:intervali900e5:peers${compact.length}:`),
    compact,
    Buffer.from('e'),
  ]);
  const server = createServer((_request, response) => response.end(answer)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${server.address().port}/announce`, close: () => server.close() };
}
