// A part of the DHT benchmark: the nodes of the network, the one that is measured, or whoever floods it. Told what to do
// by messages, and ends with its channel.
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { DialPolicy } from '../../dist/connector.js';
import { Dht } from '../../dist/discovery/dht.js';
import { Reactor } from '../../dist/native.js';

const [role, argument] = process.argv.slice(2);
const roles = { network, subject, flood };
const commands = await roles[role](JSON.parse(argument));
process.on('message', async ({ command, ...options }) => process.send(await commands[command](options)));
process.once('disconnect', () => process.exit(0));

async function boundSocket(host) {
  // Some of what is sent while JavaScript is busy elsewhere must wait.
  const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 });
  socket.bind(0, host);
  await once(socket, 'listening');
  return socket;
}

async function network(count) {
  const nodes = [];
  let bootstrap = [];
  for (let n = 0; n < count; n++) {
    const host = `127.${1 + (n >> 8)}.${n & 255}.1`;
    const socket = await boundSocket(host);
    const address = { host, port: socket.address().port };
    const policy = new DialPolicy({ listening: address });
    const send = (payload, to, port) => {
      socket.send(payload, port, to);
      return true;
    };
    const dht = new Dht({ send, address, mayDial: (to) => policy.mayDial(to, 'learnt'), bootstrap });
    socket.on('message', (payload, from) => dht.deliver([{ host: from.address, port: from.port, payload }]));
    if (n === 0) bootstrap = [address];
    nodes.push(dht);
    // A node that begins asks its neighbours: not all at once.
    await delay(10);
  }
  await delay(3000);
  process.send({ bootstrap });
  const announce = async () => {
    const hash = randomBytes(20);
    const timesMs = [];
    const startMs = performance.now();
    await nodes[Math.floor(Math.random() * count)].announce(hash, 7777);
    const announceMs = performance.now() - startMs;
    for (const node of nodes) {
      const lookupMs = performance.now();
      for await (const _peer of node.lookup(hash)) {
        timesMs.push(announceMs + performance.now() - lookupMs);
        break;
      }
    }
    return { timesMs };
  };
  return { announce };
}

async function subject(bootstrap) {
  const connector = { kind: 'direct' };
  const sizes = { connector, networkThreads: 1, workerThreads: 1, assemblyBytes: 2 ** 20 };
  const reactor = new Reactor({ ...sizes, links: 1, halfOpenLinks: 1 }, () =>
    dht.deliver(reactor.drain().datagrams),
  );
  const address = reactor.bindUdp('127.100.1.1', 0);
  const policy = new DialPolicy({ listening: address });
  let sentBytes = 0;
  const send = (payload, host, port) => {
    sentBytes += payload.length;
    return reactor.sendUdp(payload, host, port);
  };
  const dht = new Dht({ send, address, mayDial: (to) => policy.mayDial(to, 'learnt'), bootstrap });
  const hashes = Array.from({ length: 50 }, () => randomBytes(20));
  for (const hash of hashes) await dht.announce(hash, 7777);
  process.send({ address });
  const lookups = async ({ perMinute, seconds }) => {
    const count = Math.round((perMinute * seconds) / 60);
    const before = { cpu: process.cpuUsage(), ms: performance.now(), sentBytes };
    const timesMs = [];
    const running = [];
    for (let n = 0; n < count; n++) {
      running.push(
        (async () => {
          const startMs = performance.now();
          let isFound = false;
          for await (const peer of dht.lookup(hashes[n % hashes.length])) isFound ||= peer.port === 7777;
          if (isFound) timesMs.push(performance.now() - startMs);
        })(),
      );
      await delay(Math.max(0, before.ms + ((n + 1) * 60_000) / perMinute - performance.now()));
    }
    await Promise.all(running);
    const { user, system } = process.cpuUsage(before.cpu);
    return {
      lookups: count,
      found: timesMs.length,
      timesMs,
      cpuShare: (user + system) / 1000 / (performance.now() - before.ms),
      rssBytes: process.memoryUsage.rss(),
      sentBytes: sentBytes - before.sentBytes,
    };
  };
  return { lookups };
}

/** From 200 networks: questions that are to be answered with much, forged tokens and answers, and what is malformed. */
async function flood({ host, port }) {
  const sockets = [];
  for (let n = 0; n < 200; n++) sockets.push(await boundSocket(`127.200.${n}.1`));
  const id = 'abcdefghij0123456789';
  const hash = 'mnopqrstuvwxyz123456';
  const datagrams = [
    `d1:ad2:id20:${id}9:info_hash20:${hash}e1:q9:get_peers1:t2:aa1:y1:qe`,
    `d1:ad2:id20:${id}6:target20:${hash}e1:q9:find_node1:t2:aa1:y1:qe`,
    `d1:ad2:id20:${id}9:info_hash20:${hash}4:porti6881e5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe`,
    `d1:ad2:id20:${id}6:target20:${hash}e1:q17:sample_infohashes1:t2:aa1:y1:qe`,
    `d1:ad2:id20:${id}5:token8:aoeusnth1:v900:${'x'.repeat(900)}e1:q3:put1:t2:aa1:y1:qe`,
    `d1:rd2:id20:${id}5:nodes208:${'n'.repeat(208)}e1:t4:aaaa1:y1:re`,
    'l-3:e',
    `d1:ad2:id20:${id}1:x${'l'.repeat(900)}${'e'.repeat(900)}e1:q4:ping1:t2:aa1:y1:qe`,
  ].map((text) => Buffer.from(text, 'latin1'));
  process.send({});
  return {
    flood: async ({ perSecond, seconds }) => {
      const startMs = performance.now();
      let [sent, bytes] = [0, 0];
      for (;;) {
        const elapsedMs = performance.now() - startMs;
        if (elapsedMs >= seconds * 1000) return { datagrams: sent, bytes, elapsedMs };
        for (; sent < (elapsedMs * perSecond) / 1000; sent++) {
          const datagram = datagrams[sent % datagrams.length];
          bytes += datagram.length;
          sockets[sent % sockets.length].send(datagram, port, host);
        }
        await delay(2);
      }
    },
  };
}
