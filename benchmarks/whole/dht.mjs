// A DHT of 200 nodes on loopback, each on a /24 of its own: how soon an announcement is found, what lookups cost, and
// what a flood of hostile datagrams does. One of the nodes, over the native socket, is measured in a process of its own;
// the others share one, over sockets of Node.
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { root } from '../../scripts/cache.mjs';

const program = join(root, 'benchmarks', 'whole', 'dht-program.mjs');
const nodes = 200;
const announcements = 5;
const lookupsPerMinute = 1000;
const floodPerSecond = 20_000;

export async function run({ report, runs }) {
  const found = [];
  const [cpu, memory, floodCpu, floodFound, floodMs, sent, grown] = [[], [], [], [], [], [], []];
  for (let n = 0; n < runs; n++) {
    const network = await start('network', nodes - 1);
    const subject = await start('subject', network.facts.bootstrap);
    const flood = await start('flood', subject.facts.address);
    try {
      for (let each = 0; each < announcements; each++) {
        const { timesMs } = await network.ask('announce');
        assert.equal(timesMs.length, nodes - 1, 'found from every node');
        found.push(percentile(timesMs, 0.95) / 1000);
      }
      const calm = await subject.ask('lookups', { perMinute: lookupsPerMinute, seconds: 20 });
      assert.equal(calm.found, calm.lookups, 'every lookup found its peer');
      cpu.push(100 * calm.cpuShare);
      memory.push(calm.rssBytes / 2 ** 20);
      const flooding = flood.ask('flood', { perSecond: floodPerSecond, seconds: 15 });
      const hostile = await subject.ask('lookups', { perMinute: lookupsPerMinute / 4, seconds: 14 });
      const { datagrams, bytes, elapsedMs } = await flooding;
      assert.ok(
        datagrams / elapsedMs >= 0.9 * (floodPerSecond / 1000),
        `a flood of ${datagrams} in ${elapsedMs} ms`,
      );
      floodCpu.push(100 * hostile.cpuShare);
      floodFound.push((100 * hostile.found) / hostile.lookups);
      floodMs.push(percentile(hostile.timesMs, 0.95) / 1000);
      sent.push((100 * hostile.sentBytes) / bytes);
      grown.push((hostile.rssBytes - calm.rssBytes) / 2 ** 20);
    } finally {
      await Promise.all([network, subject, flood].map((each) => each.stop()));
    }
  }
  const add = (name, metric, unit, values, limits) =>
    report.add({ case: name, subject: 'blockswarm', metric, unit, values, ...limits });
  add(`${nodes} nodes`, 'announced and found from every node, p95', 's', found, { atMost: 2 });
  const calm = `${lookupsPerMinute} lookups a minute`;
  add(calm, 'cpu', '% of a core', cpu, { atMost: 25 });
  add(calm, 'memory', 'MiB RSS', memory);
  const hostile = `${floodPerSecond} hostile datagrams a second`;
  add(hostile, 'lookups that found their peer', '%', floodFound, { atLeast: 99 });
  add(hostile, 'lookup, p95', 's', floodMs, { atMost: 2 });
  add(hostile, 'outgoing of incoming bytes', '%', sent, { atMost: 100 });
  add(hostile, 'memory gained', 'MiB RSS', grown, { atMost: 16 });
  add(hostile, 'cpu', '% of a core', floodCpu);
}

/** A process of the program; its facts once it is ready. */
async function start(role, argument) {
  const child = fork(program, [role, JSON.stringify(argument)]);
  const [facts] = await once(child, 'message');
  const ask = async (command, options = {}) => {
    child.send({ command, ...options });
    const [answer] = await once(child, 'message');
    return answer;
  };
  const stop = async () => {
    if (child.exitCode !== null) return;
    child.disconnect();
    await once(child, 'exit');
  };
  return { facts, ask, stop };
}

function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}
