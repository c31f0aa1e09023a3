// Making the hybrid torrent of a file in the page cache: SHA-1 of the pieces and the SHA-256 tree, one thread of ours
// against libtorrent's own maker.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { makeHybrid, PIECE_LENGTH_BYTES } from '../../dist/metainfo/hybrid.js';
import { fileExtents, hashExtents } from '../../dist/native.js';
import { toHex } from '../../dist/units.js';
import { makePayload } from '../payload.mjs';
import { json } from '../programs.mjs';

const script = new URL('../libtorrent_bench.py', import.meta.url).pathname;

export async function run({ folder, report, runs, peers }) {
  const { segmentPath, lengthBytes } = makePayload(folder);
  readFileSync(segmentPath); // into the page cache
  const libtorrent = () => json(peers.python, ['-BW', 'ignore', script, 'make', segmentPath]);
  const first = await libtorrent();
  const ours = await blockswarm(segmentPath, lengthBytes);
  assert.equal(ours.infoHashV1, first.infoHashV1, 'both make the same v1 infohash');
  assert.equal(ours.infoHashV2, first.infoHashV2, 'both make the same v2 infohash');

  const peer = `libtorrent ${first.version}`;
  const measured = { [peer]: [], blockswarm: [] };
  for (let i = 0; i < runs; i++) {
    measured[peer].push(await libtorrent());
    measured.blockswarm.push(await blockswarm(segmentPath, lengthBytes));
  }
  const gib = lengthBytes / 2 ** 30;
  const name = `hybrid torrent of ${Math.round(lengthBytes / 2 ** 20)} MiB`;
  for (const [subject, figures] of Object.entries(measured)) {
    const against = subject === peer ? undefined : peer;
    const row = { case: name, subject, peer: against };
    report.add({
      ...row,
      metric: 'rate',
      unit: 'MiB/s',
      values: figures.map(({ seconds }) => (gib * 1024) / seconds),
    });
    report.add({
      ...row,
      metric: 'cpu',
      unit: 's/GiB',
      values: figures.map(({ cpuSeconds }) => cpuSeconds / gib),
    });
  }
}

async function blockswarm(path, lengthBytes) {
  const cpu = process.cpuUsage();
  const begun = performance.now();
  const hashes = await hashExtents(fileExtents(path, lengthBytes), PIECE_LENGTH_BYTES);
  const name = path.slice(path.lastIndexOf('/') + 1);
  const { infoHashV1, infoHashV2 } = makeHybrid({ name, pieceLengthBytes: PIECE_LENGTH_BYTES, ...hashes });
  const seconds = (performance.now() - begun) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return {
    seconds,
    cpuSeconds: (user + system) / 1e6,
    infoHashV1: toHex(infoHashV1),
    infoHashV2: toHex(infoHashV2),
  };
}
