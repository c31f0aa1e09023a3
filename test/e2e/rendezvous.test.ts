/** A newcomer with nothing but the program: the rendezvous in the DHT, one honest peer, and liars in the majority. */
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { makeHybrid, PIECE_LENGTH_BYTES } from '../../src/metainfo/hybrid.js';
import { segmentFileName } from '../../src/metainfo/segment.js';
import { fileExtents, hashExtents, networkParams, Store } from '../../src/native.js';
import { toHex } from '../../src/units.js';
import { catalogueParts, cataloguePeer, joinParts } from '../helpers/catalogue-peer.js';
import { chainTorrents } from '../helpers/chain-torrents.js';
import { startCli, startSeed } from '../helpers/cli.js';
import { dhtHub } from '../helpers/dht-hub.js';
import { regtestChain } from '../helpers/regtest-chain.js';
import { tempFolder } from '../helpers/temp.js';

const regtest = networkParams('regtest');

async function start(t: Test) {
  const chain = await regtestChain(t);
  const hub = dhtHub(t);
  const bootstrapNode = hub.options;
  const seed = () => startSeed(t, ['--network', 'regtest', '--datadir', chain.datadir, ...bootstrapNode]);
  const folder = tempFolder(t);
  const bootstrap = () => {
    const common = ['--network', 'regtest', '--listen', '127.0.0.1:0', ...bootstrapNode, '--json-lines'];
    const own = ['--datadir', join(folder, 'new'), '--state-dir', join(folder, 'state')];
    return startCli(t, ['bootstrap', ...common, ...own]);
  };
  return { chain, dht: [hub.address], seed, bootstrap, folder };
}

t.test('no key, no URL, no infohash: a DHT node is enough', async (t) => {
  const { seed, bootstrap } = await start(t);
  await seed();
  const { code, stdout, stderr } = await bootstrap().finished;
  t.equal(code, 0, stderr);
  t.match(stdout, /"event":"catalogue","segments":3.*"source":"rendezvous"/);
  t.match(JSON.parse(stdout.trim().split('\n').at(-1) ?? ''), {
    height: 431,
    levels: { set: [{ endHeight: 432 }] },
  });
});

t.test('a catalogue whose blocks turn out not to be the chain’s makes way for the honest one', async (t) => {
  const { chain, dht, seed, bootstrap, folder } = await start(t);
  const { catalogueBytes } = await chainTorrents(t, 'regtest', chain.datadir);
  const path = join(tempFolder(t), 'lie.dat');
  writeFileSync(path, randomBytes(300_000));
  const extents = fileExtents(path, 300_000);
  const hashes = await hashExtents(extents, PIECE_LENGTH_BYTES);
  const name = segmentFileName('regtest', 1, 'blocks');
  const lie = makeHybrid({ name, pieceLengthBytes: PIECE_LENGTH_BYTES, ...hashes });
  const parts = catalogueParts(catalogueBytes, regtest).map((part, index) =>
    index === 1 ? { ...part, blocks: lie.metainfoBytes } : part,
  );
  await seed();
  for (let liars = 0; liars < 3; liars++) {
    const liar = cataloguePeer(t, regtest, dht);
    liar.rendezvous.tell([await liar.serve(joinParts(parts, regtest), parts.length)]);
    const store = Store.overExtents(lie, extents);
    store.setServableAll();
    liar.node.addContent(lie, store);
  }
  const { code, stdout, stderr } = await bootstrap().finished;
  t.equal(code, 0, stderr);
  t.match(JSON.parse(stdout.trim().split('\n').at(-1) ?? ''), { height: 431 });
  // With luck the honest one was heard alone; else the lie is remembered.
  const isTried = /Another one is tried/.test(stderr + stdout);
  const [state = ''] = readdirSync(join(folder, 'state'));
  const kept = isTried ? readFileSync(join(folder, 'state', state, 'bad-catalogues.txt'), 'utf8') : '';
  t.equal(isTried, kept.includes(toHex(lie.infoHashV1)));
});
