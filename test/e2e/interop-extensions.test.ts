/** What is said to libtorrent beyond blocks, and what it says: peer exchange, super seeding, lost pieces, DHT nodes. */
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { encode } from '../../src/bencode.js';
import { bytes } from '../helpers/content-folder.js';
import { noLibtorrent } from '../helpers/libtorrent.js';
import { LibtorrentPeer } from '../helpers/libtorrent-swarm.js';
import { startPeer } from '../helpers/peer-node.js';
import { tempFolder } from '../helpers/temp.js';
import { torrentHashes } from '../helpers/torrent-hashes.js';

const LENGTH_BYTES = 4 * 2 ** 20;
const PIECE_BYTES = 64 * 1024;

/** A torrent of one file, the folder that has it, and empty folders for others. */
function torrentOf(t: Test) {
  const folder = tempFolder(t);
  const name = 'content.bin';
  const content = bytes(LENGTH_BYTES);
  writeFileSync(join(folder, name), content);
  const torrent = join(folder, 'content.torrent');
  const info = new Map<string, string | number | Uint8Array>([
    ['length', LENGTH_BYTES],
    ['name', name],
    ['piece length', PIECE_BYTES],
    ['pieces', torrentHashes(content, PIECE_BYTES).pieces],
  ]);
  writeFileSync(torrent, encode(new Map([['info', info]])));
  let number = 0;
  const empty = () => {
    const path = join(folder, `peer-${number++}`);
    mkdirSync(path);
    return path;
  };
  const isWhole = (path: string) => readFileSync(join(path, name)).equals(content);
  return { folder, torrent, empty, isWhole };
}

t.test('we learn a peer from libtorrent by peer exchange', { skip: noLibtorrent }, async (t) => {
  const { folder, torrent, empty, isWhole } = torrentOf(t);
  const far = await LibtorrentPeer.start(t, { folder, torrent });
  const middle = await LibtorrentPeer.start(t, { folder: empty(), torrent, peers: [far.text] });
  await middle.metPort(far.address.port);
  const own = empty();
  const peer = await startPeer(t, torrent, own, { seedGraceMs: 600_000 });
  peer.swarm.addPeers([middle.address]);
  await peer.until((swarm) =>
    [...swarm.peers.values()].some(({ known }) => known?.address.port === far.address.port),
  );
  await peer.complete();
  t.ok(isWhole(own));
});

t.test('libtorrent learns a peer from us by peer exchange', { skip: noLibtorrent }, async (t) => {
  const { folder, torrent, empty } = torrentOf(t);
  // Nobody has everything: seeds would not look for each other.
  const peer = await startPeer(t, torrent, empty());
  const one = await LibtorrentPeer.start(t, { folder: empty(), torrent, peers: [peer.text] });
  const two = await LibtorrentPeer.start(t, { folder: empty(), torrent, peers: [peer.text] });
  await Promise.race([one.metPort(two.address.port), two.metPort(one.address.port)]);
  const seed = await LibtorrentPeer.start(t, { folder, torrent, peers: [peer.text] });
  await Promise.all([one.complete(), two.complete(), peer.complete()]);
  t.ok(seed.uploadedBytes > 0);
});

t.test('we super seed libtorrent', { skip: noLibtorrent }, async (t) => {
  const { folder, torrent, empty, isWhole } = torrentOf(t);
  const seed = await startPeer(t, torrent, folder, { superSeeding: true });
  const folders = [empty(), empty()];
  const [one = '', two = ''] = folders;
  const first = await LibtorrentPeer.start(t, { folder: one, torrent, peers: [seed.text] });
  const second = await LibtorrentPeer.start(t, { folder: two, torrent, peers: [seed.text, first.text] });
  await Promise.all([first.complete(), second.complete()]);
  for (const path of folders) t.ok(isWhole(path));
  t.comment(`${(seed.swarm.status().uploadedBytes / LENGTH_BYTES).toFixed(2)} copies for two peers`);
  t.ok(seed.swarm.status().uploadedBytes <= 1.5 * LENGTH_BYTES);
});

t.test('libtorrent super seeds us', { skip: noLibtorrent }, async (t) => {
  const { folder, torrent, empty, isWhole } = torrentOf(t);
  const seed = await LibtorrentPeer.start(t, { folder, torrent, superSeeding: true });
  const [one, two] = [empty(), empty()];
  const first = await startPeer(t, torrent, one);
  const second = await startPeer(t, torrent, two);
  first.swarm.addPeers([seed.address]);
  second.swarm.addPeers([seed.address, first.node.address]);
  await Promise.all([first.complete(), second.complete()]);
  t.ok(isWhole(one) && isWhole(two));
});

t.test('libtorrent is told of the pieces that we lost (BEP 54)', { skip: noLibtorrent }, async (t) => {
  const { folder, torrent, empty } = torrentOf(t);
  const seed = await startPeer(t, torrent, folder);
  const leecher = await LibtorrentPeer.start(t, { folder: empty(), torrent, slow: true, peers: [seed.text] });
  await leecher.seesPieces(LENGTH_BYTES / PIECE_BYTES);
  // A file that cannot be read takes all its pieces along.
  truncateSync(join(folder, 'content.bin'), PIECE_BYTES);
  await leecher.seesPieces(LENGTH_BYTES / PIECE_BYTES, 0);
  t.match(seed.swarm.status(), { state: 'paused', links: 1, hadPieces: 0 });
});

t.test('peers tell each other of their nodes in the DHT (BEP 5)', { skip: noLibtorrent }, async (t) => {
  const { folder, torrent, empty } = torrentOf(t);
  const seed = await startPeer(t, torrent, folder, {}, { dht: [] });
  const leecher = await LibtorrentPeer.start(t, { folder: empty(), torrent, dht: true, peers: [seed.text] });
  await leecher.knowsDhtNode();
  await seed.until(() => seed.node.dht?.nodes().some(({ port }) => port === leecher.address.port) ?? false);
  await leecher.complete();
});
