// A seed beside a real bitcoind that takes a block every second: what following costs, how soon a block is seen, and how
// much is read for it. Beside it the same seed while the node rests.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { root } from '../../scripts/cache.mjs';
import { ensureEngine } from '../../scripts/engine.mjs';
import { cpuSeconds, freePort, start } from '../programs.mjs';

const cli = join(root, 'dist', 'cli', 'main.js');
/** Blocks at the start: the first segments are sealed. */
const blocks = 5000;
const seconds = 30;

export async function run({ folder, report, runs }) {
  const node = await bitcoind(folder);
  try {
    await node.generate(blocks);
    const seed = await follow(folder);
    try {
      const [rest, busy, latenciesMs] = [[], [], []];
      for (let n = 0; n < runs; n++) {
        rest.push(await share(seed.pid, () => delay(seconds * 1000)));
        busy.push(await share(seed.pid, () => everySecond(node, seed, latenciesMs)));
      }
      const readKiB = await readForBlocks(node, seed);
      const shared = { case: `a block a second, ${blocks} blocks before`, subject: 'blockswarm seed' };
      report.add({ ...shared, metric: 'of a core', unit: '%', values: busy, atMost: 2 });
      report.add({ ...shared, metric: 'of a core while the node rests', unit: '%', values: rest });
      report.add({
        ...shared,
        metric: 'from the answer of the node to the event',
        unit: 'ms',
        values: latenciesMs,
        atMost: 1000,
      });
      report.add({ ...shared, metric: 'read for a block', unit: 'KiB', values: [readKiB] });
      report.note(
        `${seconds} s each; read: all that the process reads (/proc/PID/io), pipes included; the node allocates 16 MiB at a time`,
      );
    } finally {
      await seed.stop();
    }
  } finally {
    await node.stop();
  }
}

/** Percent of a core that a process takes meanwhile. */
async function share(pid, work) {
  const [cpu, startedMs] = [cpuSeconds(pid), performance.now()];
  await work();
  return (100_000 * (cpuSeconds(pid) - cpu)) / (performance.now() - startedMs);
}

async function everySecond(node, seed, latenciesMs) {
  for (let n = 0; n < seconds; n++) {
    const begunMs = performance.now();
    const [hash] = await node.generate(1);
    const madeMs = performance.now();
    const seenMs = await seed.seen(hash);
    latenciesMs.push(Math.max(0, seenMs - madeMs));
    await delay(Math.max(0, 1000 - (performance.now() - begunMs)));
  }
}

/** KiB that the process reads for each block, from whatever it reads. */
async function readForBlocks(node, seed) {
  const before = seed.readBytes();
  for (let n = 0; n < 60; n++) {
    const [hash] = await node.generate(1);
    await seed.seen(hash);
  }
  return (seed.readBytes() - before) / 60 / 1024;
}

async function follow(folder) {
  const quiet = ['--no-dht', '--no-lsd', '--no-port-mapping', '--no-trackers', '--listen', '127.0.0.1:0'];
  const where = ['--datadir', folder, '--network', 'regtest', '--state-dir', join(folder, 'state')];
  const args = [cli, 'seed', ...where, ...quiet, '--json-lines'];
  const program = await start(process.execPath, args, /"event":"ready"/);
  const tips = new Map();
  const waiting = new Map();
  createInterface(program.stdout).on('line', (line) => {
    const { event, hash } = JSON.parse(line);
    if (event !== 'tip') return;
    tips.set(hash, performance.now());
    waiting.get(hash)?.();
  });
  const seen = async (hash) => {
    const bound = AbortSignal.timeout(30_000);
    if (!tips.has(hash)) {
      await new Promise((resolve, reject) => {
        waiting.set(hash, resolve);
        bound.addEventListener('abort', () => reject(new Error(`block ${hash} is not seen`)));
      });
    }
    return tips.get(hash);
  };
  const readBytes = () => Number(/rchar: (\d+)/.exec(readFileSync(`/proc/${program.pid}/io`, 'utf8'))?.[1]);
  return { ...program, seen, readBytes };
}

/** A node without any network, on regtest. */
async function bitcoind(datadir) {
  const port = await freePort();
  const { bitcoind: command } = ensureEngine({ bitcoind: true });
  const network = [
    '-networkactive=0',
    '-listen=0',
    '-connect=0',
    '-rpcbind=127.0.0.1',
    '-rpcallowip=127.0.0.1',
  ];
  const files = ['-noconf', '-nosettings', '-nodebuglogfile', '-printtoconsole=1'];
  const args = [
    `-datadir=${datadir}`,
    '-chain=regtest',
    '-server=1',
    `-rpcport=${port}`,
    ...network,
    ...files,
  ];
  const { stop } = await start(command, args, /Done loading/);
  const rpc = async (method, ...params) => {
    const cookie = readFileSync(join(datadir, 'regtest', '.cookie'));
    const headers = { authorization: `Basic ${cookie.toString('base64')}`, connection: 'close' };
    const body = JSON.stringify({ id: 1, method, params });
    const answer = await (await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', headers, body })).json();
    if (answer.error) throw new Error(`${method}: ${answer.error.message}`);
    return answer.result;
  };
  return { rpc, stop, generate: (count) => rpc('generatetodescriptor', count, 'raw(51)') };
}
