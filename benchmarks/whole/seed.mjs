// Seeding from the page cache to bare leechers that throw the bytes away: CPU seconds of the seeder for each GiB, and
// GiB/s. One run is several passes over one segment's blocks file. Each seeder first serves the whole file to a
// leecher that checks every piece.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PIECE_LENGTH_BYTES } from '../../dist/metainfo/hybrid.js';
import { parseMetainfo } from '../../dist/metainfo/metainfo.js';
import { root } from '../../scripts/cache.mjs';
import { ensureDebianPeers } from '../../scripts/debian-peers.mjs';
import { ensureLibtorrent } from '../../scripts/python-peers.mjs';
import { cargoProgram } from '../cargo.mjs';
import { makePayload } from '../payload.mjs';
import { cpuSeconds, freePort, json, pssMiB, start } from '../programs.mjs';

const script = new URL('../libtorrent_bench.py', import.meta.url).pathname;
const cli = join(root, 'dist', 'cli', 'main.js');
const passes = 16;
const connectionCounts = [1, 4, 8];
/** aria2 unchokes so many at a time: with more, the leechers' clock would never start. */
const aria2Slots = 4;

export async function run({ folder, report, runs }) {
  const libtorrent = [ensureLibtorrent(), '-BW', 'ignore', script];
  const { aria2: aria2Command } = ensureDebianPeers();
  const payload = makePayload(folder);
  const { segmentPath, lengthBytes } = payload;
  const torrent = join(folder, 'segment.torrent');
  const [python, ...options] = libtorrent;
  await json(python, [...options, 'make', 'hybrid', String(PIECE_LENGTH_BYTES), segmentPath, torrent]);
  const made = await json(python, [...options, 'digest', torrent]);
  const piecesPath = join(folder, 'pieces');
  writeFileSync(piecesPath, parseMetainfo(readFileSync(torrent)).pieces);
  const listed = await json(process.execPath, [
    cli,
    'segments',
    '--network',
    'regtest',
    '--datadir',
    payload.xored,
    '--json',
  ]);
  assert.equal(
    listed.segments[0].blocks.infoHashV1,
    made.infoHashV1,
    'blockswarm seeds the torrent that libtorrent made',
  );

  const load = cargoProgram('load');
  const common = ['--info-hash', made.infoHashV1, '--piece-length', String(PIECE_LENGTH_BYTES)];
  const leech = (port, ...more) =>
    json(load, ['leech', '--peer', `127.0.0.1:${port}`, ...common, '--length', String(lengthBytes), ...more]);

  const blockswarm = (datadir) => () =>
    start(
      process.execPath,
      [
        cli,
        'seed',
        '--network',
        'regtest',
        '--datadir',
        datadir,
        '--listen',
        '127.0.0.1:0',
        '--no-dht',
        '--state-dir',
        join(folder, 'state'),
        '--json',
      ],
      /"listen":"127\.0\.0\.1:(\d+)"/,
    );
  const aria2 = async () => {
    const port = await freePort();
    const args = [
      '--no-conf',
      '--enable-dht=false',
      '--enable-dht6=false',
      '--bt-enable-lpd=false',
      '--enable-peer-exchange=false',
    ];
    args.push(
      '--disable-ipv6=true',
      `--listen-port=${port}`,
      '--check-integrity=false',
      '--bt-seed-unverified=true',
    );
    args.push('--seed-ratio=0.0', '--bt-max-peers=0', '-d', folder, torrent);
    return start(aria2Command, args, /listening on TCP port (\d+)/);
  };
  const subjects = {
    libtorrent: () => start(python, [...options, 'seed', folder, torrent], /"port": (\d+)/),
    ...(aria2Command ? { aria2 } : {}),
    'bare loop': () => start(load, ['seed', '--file', segmentPath, ...common], /"port":(\d+)/),
    'blockswarm, plain block files': blockswarm(payload.plain),
    blockswarm: blockswarm(payload.xored),
  };
  const peer = Object.keys(subjects)[0];

  const figures = {};
  for (const [subject, begin] of Object.entries(subjects)) {
    const program = await begin();
    try {
      const port = program.match[1];
      const whole = await leech(port, '--connections', '2', '--pieces', piecesPath);
      assert.equal(whole.lengthBytes, lengthBytes, `${subject} serves the whole file, every piece right`);
      for (const connections of connectionCounts) {
        if (subject === 'aria2' && connections > aria2Slots) continue;
        const seen = { rate: [], cpu: [], memory: [] };
        for (let i = 0; i < runs; i++) {
          const before = cpuSeconds(program.pid);
          const got = await leech(port, '--connections', String(connections), '--passes', String(passes));
          assert.equal(got.lengthBytes, lengthBytes * passes);
          seen.cpu.push((cpuSeconds(program.pid) - before) / (got.lengthBytes / 2 ** 30));
          seen.rate.push(got.lengthBytes / 2 ** 30 / got.seconds);
          seen.memory.push(pssMiB(program.pid));
        }
        figures[connections] ??= {};
        figures[connections][subject] = seen;
      }
    } catch (cause) {
      throw new Error(`${subject} failed`, { cause });
    } finally {
      await program.stop();
    }
  }
  for (const connections of connectionCounts) {
    for (const [subject, { cpu, rate, memory }] of Object.entries(figures[connections])) {
      const row = {
        case: connections === 1 ? '1 connection' : `${connections} connections`,
        subject,
        peer: subject === peer ? undefined : peer,
      };
      report.add({ ...row, metric: 'cpu', unit: 's/GiB', values: cpu });
      report.add({ ...row, metric: 'rate', unit: 'GiB/s', values: rate });
      report.add({ ...row, metric: 'memory', unit: 'MiB PSS', values: memory });
    }
  }
}
