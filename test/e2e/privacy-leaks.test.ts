/**
 * What leaves this machine in each privacy mode while a torrent is fetched from a magnet link: nothing, but through the
 * proxy. The file runs itself inside network namespaces in which every packet that leaves loopback is counted.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { cli, cliJson, startCli } from '../helpers/cli.js';
import { bytes } from '../helpers/content-folder.js';
import { startPeer } from '../helpers/peer-node.js';
import { SamBridge } from '../helpers/sam-bridge.js';
import { caseInside, intoNamespace, noNamespace, sunkPackets } from '../helpers/sink-namespace.js';
import { SocksServer } from '../helpers/socks-server.js';
import { tempFolder } from '../helpers/temp.js';

/** Nobody has it (RFC 5737); the proxy leads to the seed. */
const peer = '203.0.113.5:6881';
const named = 'peer.example:6881';
const dhtNode = '203.0.113.9:6881';

const holding = 'nothing leaves but through the proxy, also when that dies and comes back';
const cases: Readonly<Record<string, (t: Test) => Promise<void>>> = {
  'open: packets are sent and names asked for, and the sink counts them': openLeaks,
  [`proxy: ${holding}`]: (t) => holds(t, 'proxy'),
  [`tor: ${holding}`]: (t) => holds(t, 'tor'),
  'i2p: nothing leaves but through the bridge, also when that dies and comes back': i2pHolds,
};

const run = caseInside === null ? null : cases[caseInside];
if (run) t.test(caseInside ?? '', run);
else {
  const folder = tempFolder(t);
  const skip = noNamespace(join(folder, 'resolv.conf'));
  t.test('inside a namespace whose only route is a sink', { skip }, async (t) => {
    const program = [process.execPath, ...process.execArgv, fileURLToPath(import.meta.url)];
    // Each in one of its own: when the last socket of a multicast group is gone, the kernel says so a second later.
    for (const name of Object.keys(cases)) {
      const { command, args, env } = intoNamespace(join(folder, 'resolv.conf'), program, name);
      await t.spawn(command, [...args], { env, timeout: 60_000 }, name);
    }
  });
}

/** A seed on loopback, a magnet link that leads to it by the proxy only, and a command that fetches it. */
async function scene(t: Test) {
  const folder = tempFolder(t);
  const content = join(folder, 'seed', 'content.bin');
  const torrent = join(folder, 'content.torrent');
  mkdirSync(join(folder, 'seed'));
  writeFileSync(content, bytes(1_500_000, 3));
  const { magnet } = await cliJson<{ magnet: string }>(t, [
    ...['torrent', 'make', content, '--piece-length', '64KiB', '--out', torrent],
  ]);
  const seed = await startPeer(t, torrent, join(folder, 'seed'));
  const everywhere = [
    `&x.pe=${peer}`,
    `&ws=${encodeURIComponent('http://web.example/content.bin')}`,
    ...['http://tracker.example/announce', 'udp://tracker.example:6969', 'udp://203.0.113.7:6969'].map(
      (url) => `&tr=${encodeURIComponent(url)}`,
    ),
  ].join('');
  const out = join(folder, 'out');
  const get = (...more: string[]) => {
    const wide = ['--peer', named, '--dht-bootstrap', dhtNode, '--utp'];
    return ['get', magnet + everywhere, '--out', out, ...wide, ...more];
  };
  const isWhole = () => readFileSync(join(out, 'content.bin')).equals(readFileSync(content));
  return { seed, torrent, content, get, isWhole };
}

async function openLeaks(t: Test): Promise<void> {
  const { get } = await scene(t);
  const before = sunkPackets();
  const { code } = await cli(t, get('--timeout', '3'));
  t.equal(code, 2, 'a name that the user gave cannot be resolved');
  const afterNames = sunkPackets();
  t.ok(afterNames > before, 'DNS was asked');
  const args = get('--timeout', '3').filter((arg) => arg !== '--peer' && arg !== named);
  t.equal((await cli(t, args)).code, 4);
  t.ok(sunkPackets() > afterNames, 'peers were dialled and nodes asked');
}

async function holds(t: Test, mode: 'proxy' | 'tor'): Promise<void> {
  const { seed, get, isWhole } = await scene(t);
  const seedPort = seed.node.address.port;
  const routes = new Set([peer, named]);
  const proxy = new SocksServer(t, {
    route: (host, port) => (routes.has(`${host}:${port}`) ? seedPort : null),
  });
  await proxy.start();
  const before = sunkPackets();
  const args = get('--privacy', mode, '--proxy', proxy.url, '--max-download', '300KiB', '--json');
  const program = startCli(t, args);
  await seed.until(({ peers }) => [...peers.values()].some(({ uploadedBytes }) => uploadedBytes > 100_000));
  t.ok(proxy.targets.includes(named), 'the proxy is given the name');
  if (mode === 'proxy') {
    await proxy.until(() => proxy.datagrams.includes(dhtNode));
    t.pass('datagrams go by the relay of the proxy');
  } else t.same(proxy.datagrams, [], 'there are no datagrams');
  await proxy.stop();
  await seed.until(({ peers }) => peers.size === 0);
  t.pass('links through the proxy end with it');
  // It listens again, and shuts everybody out: they come again, and nothing goes another way.
  const { accepted } = proxy;
  await proxy.start({ deaf: true });
  await proxy.until(() => proxy.accepted >= accepted + 3);
  t.equal(sunkPackets(), before, 'nothing left while the proxy was gone');
  await proxy.stop();
  await proxy.start();
  const { code, stderr } = await program.finished;
  t.equal(code, 0, stderr);
  t.ok(isWhole(), 'it came through the proxy');
  t.equal(sunkPackets(), before, 'nothing left at all');
}

/** All that the link names but one peer is of another world: it is passed over, and asked of nobody. */
async function i2pHolds(t: Test): Promise<void> {
  const { torrent, content, get, isWhole } = await scene(t);
  const bridge = new SamBridge(t);
  await bridge.start();
  const i2p = ['--privacy', 'i2p', '--sam', bridge.address];
  const before = sunkPackets();
  const seed = startCli(t, ['seed', `${torrent}=${content}`, ...i2p, '--json-lines', '--utp']);
  const [, name = ''] = await seed.printed(/"event":"i2p","address":"([^"]+)"/);
  const args = get(...i2p, '--max-download', '300KiB', '--json-lines').map((arg) =>
    arg === named ? name : arg,
  );
  const program = startCli(t, args);
  await program.printed(/"event":"progress".*"hadPieces":[1-9]/);
  await bridge.stop();
  await program.printed(/the SAM bridge ended the connection/);
  const { accepted } = bridge;
  await bridge.start({ deaf: true });
  await bridge.until(() => bridge.accepted >= accepted + 3);
  t.equal(sunkPackets(), before, 'nothing left while the bridge was gone');
  await bridge.stop();
  await bridge.start();
  const { code, stderr } = await program.finished;
  t.equal(code, 0, stderr);
  t.ok(isWhole(), 'it came through the bridge');
  t.notOk(
    bridge.commands.some((line) => /203\.0\.113|\.example/.test(line)),
    'the bridge was asked for names of I2P only',
  );
  t.equal(sunkPackets(), before, 'nothing left at all');
}
