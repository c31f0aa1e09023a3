// Seeding from the page cache to bare leechers that throw the bytes away: CPU seconds of the seeder for each GiB, and
// MiB/s, over 1 to 200 connections; what an XOR to be undone costs; how long a newcomer waits for its first block while
// 50 others are served; what RC4 and uTP cost; memory of 2,000 connections. Each seeder first serves the whole file to a leecher that checks
// every piece.
import assert from 'node:assert/strict';
import { randomFillSync } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PIECE_LENGTH_BYTES } from '../../dist/metainfo/hybrid.js';
import { parseMetainfo } from '../../dist/metainfo/metainfo.js';
import { cargoProgram } from '../cargo.mjs';
import { makePayload } from '../payload.mjs';
import { cpuSeconds, json, measured, pssMiB, start } from '../programs.mjs';
import { blockswarm, cli, libtorrentBy, libtorrentCommand, seeders } from '../seeders.mjs';

const gib = 2 ** 30;
const wholeBytes = 2 * gib;
/** libtorrent sends some 7 MiB/s over uTP. */
const utpLengthBytes = gib / 4;
const connectionCounts = [1, 8, 50, 200];
/** Peers that are slow are not waited for as often. */
const peerRuns = 3;
const xorConnections = 8;
const [crowd, newcomers] = [50, 100];
const held = 2000;
/** For the last messages of connections that were just opened. */
const settleMs = 3000;
/** A program that checks its file first is asked again and again. */
const patienceMs = 60_000;

export async function run({ folder, report, runs }) {
  const load = cargoProgram('load');
  const libtorrent = libtorrentCommand();
  const file = await makeFile(folder, libtorrent);
  const home = (name) => join(folder, name);
  const others = seeders();
  const subjects = {
    ...others,
    'bare loop': {
      begin: async () => {
        const options = ['--info-hash', file.infoHash, '--piece-length', String(PIECE_LENGTH_BYTES)];
        const program = await start(load, ['seed', '--file', file.path, ...options], /"port":(\d+)/);
        return { pid: program.pid, port: Number(program.match[1]), stop: program.stop };
      },
    },
    blockswarm: { begin: () => blockswarm(home('blockswarm'), `${file.torrent}=${file.path}`) },
  };
  const figures = Object.fromEntries(connectionCounts.map((connections) => [connections, {}]));
  for (const [subject, { begin, missing, slots = Infinity }] of Object.entries(subjects)) {
    if (missing) {
      report.skip(subject, missing);
      continue;
    }
    const content = { folder: file.folder, torrent: file.torrent, home: home(subject) };
    await using(
      subject,
      () => begin(content),
      async (program) => {
        const leech = leecher(load, program, file);
        await whole(leech, file, subject);
        const times = subject in others && subject !== 'libtorrent' ? Math.min(runs, peerRuns) : runs;
        for (const connections of connectionCounts) {
          // More would wait for a slot, and be timed waiting.
          if (connections > slots) continue;
          try {
            figures[connections][subject] = await measure(program, leech, connections, times);
          } catch (error) {
            if (subject === 'blockswarm') throw error;
            report.note(
              `${subject} does not serve ${connections} at a time: ${error.stderr ?? error.message}`,
            );
          }
        }
        if (slots < Infinity) report.note(`${subject} serves ${slots} peers at a time: no more are measured`);
      },
    );
  }
  for (const connections of connectionCounts) addRows(report, connections, figures[connections], others);
  await measureXor({ folder, report, runs, load, libtorrent });
  const carried = { report, runs, libtorrent, home };
  const required = ['--encryption', 'required'];
  await measureCarriage({
    ...carried,
    file,
    name: 'under RC4',
    carriage: 'rc4',
    flags: required,
    wantsLessCpu: true,
  });
  const few = await makeFile(home('utp-content'), libtorrent, utpLengthBytes);
  await measureCarriage({ ...carried, file: few, name: 'over uTP', carriage: 'utp', flags: ['--utp'] });
  await measureLatency({ report, load, file, subjects, home });
  await measureMemory({ report, load, file, begin: subjects.blockswarm.begin });
}

/** CPU at most 0.42 × libtorrent's; MiB/s at least 1.6 × the best peer's where several cores are busy. */
function addRows(report, connections, figures, others) {
  const name = connections === 1 ? '1 connection' : `${connections} connections`;
  const peers = Object.keys(others).filter((subject) => figures[subject]);
  const best = Math.max(...peers.map((subject) => median(figures[subject].rate)));
  for (const [subject, { cpu, rate, memory }] of Object.entries(figures)) {
    const isOurs = subject === 'blockswarm';
    const row = { case: name, subject, peer: subject === 'libtorrent' ? undefined : 'libtorrent' };
    const atMost = isOurs && figures.libtorrent ? 0.42 * median(figures.libtorrent.cpu) : undefined;
    const atLeast = isOurs && [8, 50].includes(connections) ? 1.6 * best : undefined;
    report.add({ ...row, metric: 'cpu', unit: 's/GiB', values: cpu, atMost });
    report.add({ ...row, metric: 'rate', unit: 'MiB/s', values: rate, atLeast });
    report.add({ ...row, metric: 'memory', unit: 'MiB PSS', values: memory });
  }
}

/** The same segment out of two data directories: one plain, one whose bytes have to be XORed. */
async function measureXor({ folder, report, runs, load, libtorrent }) {
  const payload = makePayload(folder);
  const torrent = join(folder, 'segment.torrent');
  const made = await makeTorrent(libtorrent, 'hybrid', payload.segmentPath, torrent);
  const file = { ...made, lengthBytes: payload.lengthBytes, piecesPath: join(folder, 'segment.pieces') };
  writeFileSync(file.piecesPath, parseMetainfo(readFileSync(torrent)).pieces);
  const passes = Math.ceil(wholeBytes / file.lengthBytes);
  const seen = {};
  for (const [subject, datadir] of [
    ['plain block files', payload.plain],
    ['blocks.dat under XOR', payload.xored],
  ]) {
    const args = ['--network', 'regtest', '--datadir', datadir];
    const listed = await json(process.execPath, [cli, 'segments', ...args, '--json']);
    assert.equal(listed.segments[0].blocks.infoHashV1, file.infoHash, 'the torrent that libtorrent made');
    await using(
      subject,
      () => blockswarm(join(folder, subject.replaceAll(/\W/g, '-')), ...args),
      async (program) => {
        const leech = leecher(load, program, file);
        await whole(leech, file, subject);
        seen[subject] = await measure(program, leech, xorConnections, runs, passes);
      },
    );
  }
  const [[plain, plainFigures], [xored, { cpu, rate }]] = Object.entries(seen);
  const row = { case: `data directory, ${xorConnections} connections` };
  report.add({ ...row, subject: plain, metric: 'cpu', unit: 's/GiB', values: plainFigures.cpu });
  report.add({ ...row, subject: plain, metric: 'rate', unit: 'MiB/s', values: plainFigures.rate });
  const atMost = 1.15 * median(plainFigures.cpu);
  report.add({ ...row, subject: xored, peer: plain, metric: 'cpu', unit: 's/GiB', values: cpu, atMost });
  report.add({ ...row, subject: xored, peer: plain, metric: 'rate', unit: 'MiB/s', values: rate });
}

/**
 * In another way than plain over TCP, to the same leecher: libtorrent, which checks what it gets. `carriage`: the ending of
 * its commands.
 */
async function measureCarriage({
  report,
  runs,
  libtorrent,
  file,
  home,
  name,
  carriage,
  flags,
  wantsLessCpu,
}) {
  const seen = {};
  for (const [subject, begin] of [
    ['libtorrent', () => libtorrentBy(carriage, file)],
    ['blockswarm', () => blockswarm(home(carriage), `${file.torrent}=${file.path}`, ...flags)],
  ]) {
    await using(subject, begin, async ({ pid, port }) => {
      const [cpu, rate] = [[], []];
      for (let i = 0; i < Math.min(runs, peerRuns); i++) {
        const out = home(`${carriage}-out`);
        mkdirSync(out);
        const before = cpuSeconds(pid);
        const peer = `127.0.0.1:${port}`;
        const { seconds } = await measured([...libtorrent, `get-${carriage}`, file.torrent, out, peer]);
        cpu.push((cpuSeconds(pid) - before) / (file.lengthBytes / gib));
        rate.push(file.lengthBytes / 2 ** 20 / seconds);
        rmSync(out, { recursive: true });
      }
      seen[subject] = { cpu, rate };
    });
  }
  const row = { case: `1 connection ${name}` };
  const atMost = wantsLessCpu ? median(seen.libtorrent.cpu) : undefined;
  for (const [subject, { cpu, rate }] of Object.entries(seen)) {
    const isOurs = subject === 'blockswarm';
    const peer = isOurs ? 'libtorrent' : undefined;
    report.add({
      ...row,
      subject,
      peer,
      metric: 'cpu',
      unit: 's/GiB',
      values: cpu,
      ...(isOurs && { atMost }),
    });
    report.add({ ...row, subject, peer, metric: 'rate', unit: 'MiB/s', values: rate });
  }
}

/** From dialling to the first block, one newcomer after the other, while a crowd is served as fast as can be. */
async function measureLatency({ report, load, file, subjects, home }) {
  for (const subject of ['libtorrent', 'blockswarm']) {
    const content = { folder: file.folder, torrent: file.torrent, home: home(`${subject}-latency`) };
    await using(
      subject,
      () => subjects[subject].begin(content),
      async (program) => {
        await whole(leecher(load, program, file), file, subject);
        const options = ['--connections', String(crowd), '--newcomers', String(newcomers)];
        const { milliseconds } = await json(load, ['latency', ...common(program, file), ...options]);
        const values = milliseconds.toSorted((a, b) => a - b);
        const row = { case: `a newcomer beside ${crowd} leechers`, subject, unit: 'ms' };
        const atMost = subject === 'blockswarm' ? 100 : undefined;
        report.add({ ...row, metric: 'first block, median', values: [median(values)] });
        report.add({
          ...row,
          metric: 'first block, p99',
          values: [values[Math.ceil(values.length * 0.99) - 1]],
          atMost,
        });
      },
    );
  }
}

async function measureMemory({ report, load, file, begin }) {
  await using('blockswarm', begin, async (program) => {
    await leecher(load, program, file)('--connections', '8');
    const before = pssMiB(program.pid);
    const crowd = await start(
      load,
      ['hold', ...common(program, file), '--connections', String(held)],
      /"held":(\d+)/,
    );
    try {
      assert.equal(crowd.match[1], String(held));
      await sleep(settleMs);
      const kib = ((pssMiB(program.pid) - before) * 1024) / held;
      const row = {
        case: `${held} connections on one torrent`,
        subject: 'blockswarm',
        metric: 'memory of each',
      };
      report.add({ ...row, unit: 'KiB PSS', values: [kib], atMost: 40 });
    } finally {
      await crowd.stop();
    }
  });
}

/** Random bytes: nothing on the way can make them smaller. */
async function makeFile(folder, libtorrent, lengthBytes = wholeBytes) {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'payload.bin');
  const chunk = Buffer.alloc(64 * 2 ** 20);
  const fd = openSync(path, 'w');
  for (let at = 0; at < lengthBytes; at += chunk.length) writeSync(fd, randomFillSync(chunk));
  closeSync(fd);
  const torrent = join(folder, 'payload.torrent');
  const { infoHash } = await makeTorrent(libtorrent, 'v1', path, torrent);
  const piecesPath = join(folder, 'payload.pieces');
  writeFileSync(piecesPath, parseMetainfo(readFileSync(torrent)).pieces);
  return { folder, path, torrent, infoHash, lengthBytes, piecesPath };
}

async function makeTorrent([python, ...options], kind, path, torrent) {
  await json(python, [...options, 'make', kind, String(PIECE_LENGTH_BYTES), path, torrent]);
  const { infoHashV1 } = await json(python, [...options, 'digest', torrent]);
  return { infoHash: infoHashV1 };
}

function common({ port }, { infoHash, lengthBytes: length }) {
  const hash = ['--info-hash', infoHash, '--piece-length', String(PIECE_LENGTH_BYTES)];
  return ['--peer', `127.0.0.1:${port}`, ...hash, '--length', String(length)];
}

function leecher(load, program, file) {
  return (...more) => json(load, ['leech', ...common(program, file), ...more]);
}

/** Every piece is right. */
async function whole(leech, file, subject) {
  const end = performance.now() + patienceMs;
  for (;;) {
    try {
      const got = await leech('--connections', '2', '--pieces', file.piecesPath);
      assert.equal(got.lengthBytes, file.lengthBytes, `${subject} serves the whole file, every piece right`);
      return;
    } catch (error) {
      if (performance.now() > end || /wrong piece/.test(error.message)) throw error;
      await sleep(200);
    }
  }
}

async function measure({ pid }, leech, connections, runs, passes = 1) {
  const seen = { rate: [], cpu: [], memory: [] };
  for (let i = 0; i < runs; i++) {
    const before = cpuSeconds(pid);
    const got = await leech('--connections', String(connections), '--passes', String(passes));
    seen.cpu.push((cpuSeconds(pid) - before) / (got.lengthBytes / gib));
    seen.rate.push(got.lengthBytes / 2 ** 20 / got.seconds);
    seen.memory.push(pssMiB(pid));
  }
  return seen;
}

async function using(subject, begin, work) {
  const program = await begin();
  try {
    return await work(program);
  } catch (cause) {
    throw new Error(`${subject} failed`, { cause });
  } finally {
    await program.stop();
  }
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2;
}
