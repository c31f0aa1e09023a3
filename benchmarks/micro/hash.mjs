// The hash functions alone, on one core and over memory: ours in every way that the processor has, against the crates
// `sha1` and `sha2`, also without SHA-NI. And the hybrid torrent of a segment made within the process, by one thread of
// ours and by libtorrent's own maker.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { makeHybrid, PIECE_LENGTH_BYTES } from '../../dist/metainfo/hybrid.js';
import { fileExtents, hashExtents } from '../../dist/native.js';
import { toHex } from '../../dist/units.js';
import { cacheFolder } from '../../scripts/cache.mjs';
import { ensureLibtorrent } from '../../scripts/python-peers.mjs';
import { cargoProgram } from '../cargo.mjs';
import { contest, ours } from '../contest.mjs';
import { hashLimit } from '../limits.mjs';
import { makePayload } from '../payload.mjs';
import { json, measured } from '../programs.mjs';

const script = new URL('../libtorrent_bench.py', import.meta.url).pathname;
/** The crates that stand for each case, and how far ahead of them we want to be. */
const crates = {
  'sha1 pieces': 'sha1',
  'sha256 leaves': 'sha2',
  'sha256 pairs': 'sha2',
  'sha256d headers': 'sha2',
};
const wanted = {
  'sha1 pieces': { 'blockswarm avx512': 2.2 },
  'sha256 leaves': { 'blockswarm avx512': 2.2 },
};
const wantedOverSoft = { 'sha1 pieces': { 'blockswarm avx2': 1.3 } };

export async function run(context) {
  await loops(context, 'one core', cargoProgram('hashloop'), wanted);
  const soft = {
    targetDir: cacheFolder('benchmarks', 'soft-hashes'),
    rustflags: '--cfg sha1_backend="soft" --cfg sha2_backend="soft"',
  };
  const without = 'one core, the crate without SHA-NI';
  await loops(context, without, cargoProgram('hashloop', soft), wantedOverSoft, Object.keys(wantedOverSoft));
  await segment(context);
}

async function loops({ report, runs }, where, hashloop, floors, cases) {
  const seen = new Map();
  for (let i = 0; i < runs; i++) {
    for (const row of (await json(hashloop, [])).rows) {
      const rates = seen.get(row.case) ?? new Map();
      seen.set(row.case, rates.set(row.subject, [...(rates.get(row.subject) ?? []), row.gibPerSecond]));
    }
  }
  const copy = seen.get('copy').get('memory');
  for (const [name, subjects] of seen) {
    if (cases && !cases.includes(name)) continue;
    const peer = crates[name];
    const row = { case: `${name}, ${where}` };
    for (const [subject, values] of subjects) {
      report.add({
        ...row,
        subject,
        metric: 'rate',
        unit: 'GiB/s',
        values,
        peer: subject === peer ? undefined : peer,
      });
      if (!peer) continue;
      const share = values.map((rate, run) => (100 * rate) / copy[run]);
      report.add({ ...row, subject, metric: 'share of memory copy', unit: '%', values: share });
    }
    for (const [subject, atLeast] of Object.entries(floors[name] ?? {})) {
      const rates = subjects.get(subject);
      if (!rates) {
        report.skip(`${subject}, ${row.case}`, 'this processor has no such instructions');
        continue;
      }
      const values = rates.map((rate, run) => rate / subjects.get(peer)[run]);
      report.add({ ...row, subject, metric: `rate over ${peer}`, unit: '×', values, atLeast });
    }
  }
}

async function segment({ folder, report, runs }) {
  const { segmentPath, lengthBytes } = makePayload(folder);
  const torrent = join(folder, 'segment.torrent');
  const python = [ensureLibtorrent(), '-BW', 'ignore', script];
  const libtorrent = () =>
    measured([...python, 'make', 'hybrid', String(PIECE_LENGTH_BYTES), segmentPath, torrent]);
  await libtorrent();
  const [command, ...args] = [...python, 'digest', torrent];
  const expected = await json(command, args);
  const made = await blockswarm(segmentPath, lengthBytes);
  assert.equal(made.infoHashV1, expected.infoHashV1, 'both make the same v1 infohash');
  assert.equal(made.infoHashV2, expected.infoHashV2, 'both make the same v2 infohash');
  await contest({
    report,
    runs,
    case: `hybrid torrent of ${Math.round(lengthBytes / 2 ** 20)} MiB`,
    subjects: [
      { name: 'libtorrent', measure: libtorrent },
      { name: ours, measure: () => blockswarm(segmentPath, lengthBytes) },
    ],
    lengthBytes,
    limit: hashLimit('hybrid'),
  });
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
