/** Lists of addresses that are not met, while a seed runs: the file changes, and with it who is met. */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { cliJson, startCli, startSeed } from '../helpers/cli.js';
import { bytes } from '../helpers/content-folder.js';
import { startPeer } from '../helpers/peer-node.js';
import { tempFolder } from '../helpers/temp.js';

t.test(
  'a peer that comes onto a list is let go, and off it is met again; what was blocked is counted',
  async (t) => {
    const folder = tempFolder(t);
    const content = join(folder, 'seed', 'content.bin');
    const torrent = join(folder, 'content.torrent');
    for (const name of ['seed', 'other']) mkdirSync(join(folder, name));
    writeFileSync(content, bytes(2_000_000, 6));
    await cliJson(t, ['torrent', 'make', content, '--piece-length', '64KiB', '--out', torrent]);
    const list = join(folder, 'list.p2p.gz');
    const write = (text: string) => {
      // At once, as whoever downloads lists should.
      writeFileSync(`${list}.new`, gzipSync(text));
      renameSync(`${list}.new`, list);
    };
    write('nobody:192.0.2.0-192.0.2.255\n');
    const seeding = [
      `${torrent}=${content}`,
      '--blocklist',
      list,
      '--no-dht',
      '--json-lines',
      '--max-upload',
      '50KiB',
    ];
    const { program, listen } = await startSeed(t, [...seeding, '--limit-lan']);
    await program.printed(/"event":"blocklist".*"ranges":1,"badLines":0/);
    const peer = await startPeer(t, torrent, join(folder, 'other'));
    const [host = '', port = ''] = listen.split(':');
    peer.swarm.addPeers([{ host, port: Number(port) }], 'asked');
    await peer.until(({ peers }) =>
      [...peers.values()].some(({ isOpen, downloadedBytes }) => isOpen && downloadedBytes > 0),
    );

    write('us, here:127.0.0.0-127.255.255.255\nnot a line\n');
    await program.printed(/"event":"blocklist".*"ranges":1,"badLines":1/);
    await peer.until(({ peers }) => ![...peers.values()].some(({ isOpen }) => isOpen));
    t.pass('the connection that was open is ended');
    const turnedAway = startCli(t, [
      'get',
      torrent,
      '--out',
      join(folder, 'out'),
      '--no-dht',
      '--peer',
      listen,
      '--timeout',
      '2',
    ]);
    t.equal((await turnedAway.finished).code, 4, 'nobody comes in from there');

    write('nobody:192.0.2.0-192.0.2.255\n');
    await peer.until(({ peers }) => [...peers.values()].some(({ isOpen }) => isOpen));
    t.pass('and is met again when the list is changed back');
    program.kill('SIGTERM');
    const { stdout } = await program.finished;
    const stopped = stdout.split('\n').find((line) => line.includes('"event":"stopped"')) ?? '{}';
    const { blocked } = JSON.parse(stopped);
    t.equal(blocked.links, 1);
    t.ok(blocked.incoming >= 1, JSON.stringify(blocked));
  },
);
