/** A small peer made with `bittorrent-protocol` (npm), both ways, to the last byte. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import Wire from 'bittorrent-protocol';
import t, { type Test } from 'tap';
import { parseHostPort } from '../../src/connector.js';
import { cliJson, startCli } from '../helpers/cli.js';
import { bytes } from '../helpers/content-folder.js';
import { tempFolder } from '../helpers/temp.js';

const pieceLengthBytes = 64 * 1024;
const blockBytes = 16 * 1024;
/** The last piece and its last block are short. */
const content = bytes(20 * pieceLengthBytes + 20_001, 9);
const pieceCount = 21;
const network = ['--no-dht', '--listen', '127.0.0.1:0'];

async function scene(t: Test) {
  const folder = tempFolder(t);
  const path = join(folder, 'content.bin');
  const torrent = join(folder, 'content.torrent');
  writeFileSync(path, content);
  const args = [path, '--v1', '--piece-length', '64KiB', '--out', torrent];
  const { infoHashV1 } = await cliJson<{ infoHashV1: string }>(t, ['torrent', 'make', ...args]);
  return { folder, path, torrent, infoHash: Buffer.from(infoHashV1, 'hex') };
}

function wireOver(socket: Socket): Wire {
  const wire = new Wire();
  // The other side may end the connection at any time.
  for (const stream of [socket, wire]) stream.on('error', () => {});
  socket.on('close', () => wire.destroy());
  socket.pipe(wire).pipe(socket);
  return wire;
}

for (const fast of [false, true]) {
  const how = fast ? 'with the fast extension' : 'without the fast extension';

  t.test(`we fetch from it, ${how}`, async (t) => {
    const { folder, torrent, infoHash } = await scene(t);
    const server = createServer((socket) => {
      const wire = wireOver(socket);
      t.teardown(() => socket.destroy());
      wire.on('handshake', () => {
        wire.handshake(infoHash, randomBytes(20), { fast });
        wire.bitfield(Buffer.from([0xff, 0xff, 0xf8]));
      });
      wire.on('interested', () => wire.unchoke());
      wire.on('request', (piece, offset, length, respond) => {
        const start = piece * pieceLengthBytes + offset;
        respond(null, content.subarray(start, start + length));
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.teardown(() => server.close());
    const { port } = server.address() as AddressInfo;
    const out = join(folder, 'out');
    await cliJson(t, ['get', torrent, '--out', out, '--peer', `127.0.0.1:${port}`, ...network]);
    t.ok(readFileSync(join(out, 'content.bin')).equals(content));
  });

  t.test(`it fetches from us, ${how}`, async (t) => {
    const { path, torrent, infoHash } = await scene(t);
    const program = startCli(t, ['seed', `${torrent}=${path}`, ...network, '--json-lines']);
    const [line] = await program.printed(/^\{.*"event":"ready".*\}$/m);
    const { host, port } = parseHostPort((JSON.parse(line) as { listen: string }).listen);
    const socket = connect(port, host);
    t.teardown(() => socket.destroy());
    const wire = wireOver(socket);
    wire.handshake(infoHash, randomBytes(20), { fast });
    wire.on('handshake', () => wire.interested());
    await new Promise<void>((resolve) => wire.on('unchoke', resolve));
    const pieces = Array.from({ length: pieceCount }, (_, piece) => fetchPiece(wire, piece));
    t.ok(Buffer.concat(await Promise.all(pieces)).equals(content));
  });
}

async function fetchPiece(wire: Wire, piece: number): Promise<Buffer> {
  const lengthBytes = Math.min(pieceLengthBytes, content.length - piece * pieceLengthBytes);
  const blocks: Promise<Uint8Array>[] = [];
  for (let offset = 0; offset < lengthBytes; offset += blockBytes) {
    const length = Math.min(blockBytes, lengthBytes - offset);
    blocks.push(
      new Promise((resolve, reject) => {
        wire.request(piece, offset, length, (error, block) => (error ? reject(error) : resolve(block)));
      }),
    );
  }
  return Buffer.concat(await Promise.all(blocks));
}
