/** Torrents through I2P: a SAM bridge of the test's own, nodes that have nothing but it, and a tracker behind it. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { cli, cliJson, startCli } from '../helpers/cli.js';
import { i2pScene, startI2pSeed, trackerName } from '../helpers/i2p-scene.js';

t.test('a magnet link leads to a seed by a tracker of I2P, and the seed keeps its name', async (t) => {
  const { folder, tracker, bridge, torrent, content, out, magnet, i2p, isWhole } = await i2pScene(t);
  const keys = join(folder, 'keys');
  const seeding = [`${torrent}=${content}`, ...i2p, '--i2p-keys', keys];
  const { seed, name } = await startI2pSeed(t, seeding);
  await tracker.until(() => tracker.requests.length > 0);
  const [first] = tracker.requests;
  t.match(first?.query.get('ip'), /^[A-Za-z0-9~-]{522}==\.i2p$/);
  t.equal(first?.query.get('port'), '6881');
  const result = await cliJson<{ peers: number }>(t, ['get', magnet, '--out', out, ...i2p]);
  t.equal(result.peers, 1);
  t.ok(isWhole());
  t.ok(bridge.commands.some((line) => line === `NAMING LOOKUP NAME=${trackerName}`));
  t.equal(statSync(keys).mode & 0o777, 0o600);
  seed.kill('SIGTERM');
  await seed.finished;
  await bridge.until(() => bridge.names.length === 0);
  const again = await startI2pSeed(t, seeding);
  t.equal(again.name, name, 'the keys make the name');
});

t.test(
  'a peer is named by its name or destination, and whole destinations of trackers are read',
  async (t) => {
    const { folder, tracker, torrent, content, i2p } = await i2pScene(t);
    tracker.compact = false;
    const { name } = await startI2pSeed(t, [`${torrent}=${content}`, ...i2p]);
    await tracker.until(() => tracker.requests.length > 0);
    const destination = tracker.requests[0]?.query.get('ip') ?? '';
    const ways = [['--peer', name], ['--peer', destination.replace(/\.i2p$/, '')], []];
    for (const [at, way] of ways.entries()) {
      const trackers = way.length > 0 ? ['--no-trackers'] : [];
      const out = join(folder, `out-${at}`);
      await cliJson(t, ['get', torrent, '--out', out, ...i2p, ...way, ...trackers, '--timeout', '30']);
      t.ok(readFileSync(join(out, 'content.bin')).equals(readFileSync(content)));
    }
  },
);

t.test(
  'when the router goes nothing comes, and when it is back all goes on under the same name',
  async (t) => {
    const { bridge, torrent, content, out, magnet, i2p, isWhole } = await i2pScene(t, 2_000_000);
    const { seed, name } = await startI2pSeed(t, [`${torrent}=${content}`, ...i2p]);
    const program = startCli(t, [
      'get',
      magnet,
      '--out',
      out,
      ...i2p,
      '--max-download',
      '200KiB',
      '--json-lines',
    ]);
    await program.printed(/"event":"progress".*"hadPieces":[1-9]/);
    await bridge.stop();
    await seed.printed(/the SAM bridge ended the connection/);
    const { accepted } = bridge;
    // It listens again, and shuts everybody out: they come again.
    await bridge.start({ deaf: true });
    await bridge.until(() => bridge.accepted >= accepted + 2);
    await bridge.stop();
    await bridge.start();
    const { code, stderr } = await program.finished;
    t.equal(code, 0, stderr);
    t.ok(isWhole());
    t.ok(bridge.names.includes(name));
  },
);

t.test('a session that is lost ends the links of it', async (t) => {
  const { bridge, torrent, content, out, magnet, i2p, isWhole } = await i2pScene(t, 2_000_000);
  await startI2pSeed(t, [`${torrent}=${content}`, ...i2p]);
  const program = startCli(t, [
    'get',
    magnet,
    '--out',
    out,
    ...i2p,
    '--max-download',
    '400KiB',
    '--json-lines',
  ]);
  await program.printed(/"event":"progress".*"hadPieces":[1-9]/);
  const streams = bridge.accepted;
  bridge.endSessions();
  await program.printed(/the SAM bridge ended the connection/);
  const { code, stderr } = await program.finished;
  t.equal(code, 0, stderr);
  t.ok(isWhole());
  t.ok(bridge.accepted > streams, 'it was dialled anew');
});

t.test('what cannot be met through I2P is a clear error', async (t) => {
  const { torrent, out, i2p } = await i2pScene(t);
  const get = ['get', torrent, '--out', out, ...i2p];
  for (const [args, message] of [
    [['--peer', '203.0.113.5:6881'], /names that end with \.i2p.*203\.0\.113\.5.*ERR_ADDRESS/s],
    [['--i2p-keys', torrent], /ERR_CONFIG/],
  ] as [string[], RegExp][]) {
    const { code, stderr } = await cli(t, [...get, ...args]);
    t.ok(code === 2 || code === 3, `${code}`);
    t.match(stderr, message);
  }
  const alone = await cli(t, [...get, '--no-trackers', '--timeout', '1']);
  t.equal(alone.code, 4);
  t.match(alone.stderr, /--peer NAME\.b32\.i2p.*ERR_NO_PEERS/s);
  const { code, stderr } = await cli(t, ['get', torrent, '--out', out, '--sam', '127.0.0.1:1']);
  t.equal(code, 2);
  t.match(stderr, /--privacy i2p/);
});
