/** What `adopt` keeps: only what the headers commit to, and over a kill. */

import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { formatPeerAddress } from '../../src/connector.js';
import { makeHybrid, PIECE_LENGTH_BYTES } from '../../src/metainfo/hybrid.js';
import { fileExtents, hashExtents, networkParams, Store } from '../../src/native.js';
import { type AdoptResult, adopt } from '../../src/node/adopt.js';
import { catalogueParts, cataloguePeer, joinParts } from '../helpers/catalogue-peer.js';
import { chainTorrents } from '../helpers/chain-torrents.js';
import { startCli, startSeed } from '../helpers/cli.js';
import { regtestBlocksFile, regtestChain } from '../helpers/regtest-chain.js';
import { tempFolder } from '../helpers/temp.js';

const quiet = { progress: () => {}, warn: () => {}, event: () => {} };

t.test('blocks that are not those of the headers are not adopted, whatever a catalogue says', async (t) => {
  const chain = await regtestChain(t);
  const network = networkParams('regtest');
  const { catalogueBytes, blocks } = await chainTorrents(t, 'regtest', chain.datadir);
  const folder = tempFolder(t);
  const [honest, altered] = blocks;
  if (!honest || !altered) throw new Error('a chain of two segments');
  const peer = cataloguePeer(t, network, null);
  const serve = async (name: string, segment: number, alter: boolean) => {
    const bytes = regtestBlocksFile(chain, segment);
    // In a signature or a script far behind the header of some block.
    if (alter) bytes[bytes.length - 5] = (bytes[bytes.length - 5] ?? 0) ^ 1;
    const path = join(folder, name);
    writeFileSync(path, bytes);
    const hashes = await hashExtents(fileExtents(path, bytes.length), PIECE_LENGTH_BYTES);
    const torrent = makeHybrid({ name, pieceLengthBytes: PIECE_LENGTH_BYTES, ...hashes });
    const store = Store.overExtents(torrent, fileExtents(path, bytes.length));
    store.setServableAll();
    peer.node.addContent(torrent, store);
    return torrent;
  };
  await serve(honest.name, 0, false);
  const lie = await serve(altered.name, 1, true);
  const parts = catalogueParts(catalogueBytes, network);
  const lying = parts.map((each, n) => (n === 1 ? { ...each, blocks: lie.metainfoBytes } : each));
  const catalogue = join(folder, 'catalogue.dat');
  writeFileSync(catalogue, joinParts(lying, network));

  const out = join(folder, 'adopted');
  const options = {
    network: 'regtest',
    catalogue: [catalogue],
    stateDir: join(folder, 'state'),
    timeoutSeconds: 60,
    dht: false,
    listen: '127.0.0.1:0',
    peer: [formatPeerAddress(peer.node.address)],
    portMapping: false,
    sizeBytes: 2 ** 30,
    out,
    watchSeconds: 10,
  };
  const result: AdoptResult = await adopt(options, new AbortController().signal, quiet);
  t.match(result.adopted, [{ name: honest.name, proven: 'chain' }]);
  t.equal(result.adopted.length, 1);
  t.match(result.failed, [{ name: altered.name, reason: /is not the chain's/ }]);
  t.ok(existsSync(join(out, honest.name)));
  t.notOk(existsSync(join(out, altered.name)), 'what is of no use takes no place');
});

t.test('after a kill the next run goes on with what the first chose', async (t) => {
  const chain = await regtestChain(t);
  const seed = await startSeed(t, ['--datadir', chain.datadir, '--network', 'regtest', '--no-dht']);
  const folder = tempFolder(t);
  const out = join(folder, 'adopted');
  const run = (more: readonly string[]) =>
    startCli(t, [
      ...['adopt', '64MiB', '--out', out, '--network', 'regtest', '--listen', '127.0.0.1:0', '--no-dht'],
      ...['--peer', seed.listen, '--catalogue', seed.catalogueInfoHashV1 ?? '', '--json-lines'],
      ...['--state-dir', join(folder, 'state'), ...more],
    ]);
  const first = run(['--max-download', '2MiB', '--limit-lan']);
  await first.printed(/"stage":"fetching".*"doneBytes":[1-9]/);
  first.child.kill('SIGKILL');
  await once(first.child, 'close');
  const begun = readdirSync(out).filter((name) => name.endsWith('.dat'));
  t.ok(begun.length > 0);
  const second = run([]);
  const [line] = await second.printed(/^\{.*"adopted".*\}$/m);
  const { adopted, failed } = JSON.parse(line) as AdoptResult;
  t.same(failed, []);
  const names = adopted.map(({ name }) => name);
  for (const name of begun) t.ok(names.includes(name), name);
  for (const { name, lengthBytes } of adopted) t.equal(statSync(join(out, name)).size, lengthBytes, name);
  for (const [segment, name] of ['00000', '00001', '00002'].entries()) {
    const path = join(out, `bitcoin-regtest-blocks-${name}.dat`);
    if (existsSync(path)) t.ok(readFileSync(path).equals(regtestBlocksFile(chain, segment)), path);
  }
  t.equal((await second.stop()).code, 0);
});
