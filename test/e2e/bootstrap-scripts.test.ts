/** `bootstrap --prove scripts`: a second verdict on every script, while segments arrive, beside Core's engine. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { privacyOf } from '../../src/connector/privacy.js';
import { makeHybrid, PIECE_LENGTH_BYTES } from '../../src/metainfo/hybrid.js';
import { fileExtents, hashExtents, networkParams, Store } from '../../src/native.js';
import type { BootstrapResult } from '../../src/node/bootstrap.js';
import { PeerNode } from '../../src/node/peer-node.js';
import { bootstrap } from '../helpers/bootstrap.js';
import { catalogueParts, joinParts } from '../helpers/catalogue-peer.js';
import { chainTorrents } from '../helpers/chain-torrents.js';
import { cli, cliJson, startSeed } from '../helpers/cli.js';
import { regtestChain } from '../helpers/regtest-chain.js';
import { tempFolder } from '../helpers/temp.js';

const regtest = networkParams('regtest');
const PROVE = ['--prove', 'chain,scripts'];

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/** A spent file in which the last coin that its last spending block takes has another script; and that block's number. */
function forge(spent: Buffer, headers: Uint8Array, blocks: number): { bytes: Buffer; at: number } {
  const bytes = Buffer.from(spent);
  let last = { offset: -1, size: 0, at: -1 };
  for (let at = 0, offset = 0; at < blocks; at++) {
    const size = bytes.readUInt32LE(offset + 4);
    if (size > 1) last = { offset: offset + 8, size, at };
    offset += 8 + size + 32;
  }
  const end = last.offset + last.size;
  bytes[end - 1] = 1 ^ (bytes[end - 1] ?? 0);
  const parent = headers.subarray(80 * last.at + 4, 80 * last.at + 36);
  sha256(sha256(Buffer.concat([parent, bytes.subarray(last.offset, end)]))).copy(bytes, end);
  return { bytes, at: last.at };
}

t.test('every script is judged here too while segments arrive, and both verdicts are told', async (t) => {
  const chain = await regtestChain(t);
  const where = ['--network', 'regtest', '--datadir', chain.datadir];
  const seed = await startSeed(t, [...where, '--no-dht']);
  const catalogue = join(tempFolder(t), 'catalogue.dat');
  const { segments } = await cliJson<{ segments: number }>(t, [
    'catalogue',
    'make',
    ...where,
    '--out',
    catalogue,
  ]);
  const folder = tempFolder(t);
  const made = { datadir: join(folder, 'new'), stateDir: join(folder, 'state'), network: 'regtest' as const };
  const options = {
    ...made,
    catalogue,
    peers: [seed.listen],
    more: [...PROVE, '--scratch', join(folder, 'scratch')],
  };
  const { code, stdout, stderr } = await bootstrap(t, options);
  t.equal(code, 0, stderr);
  const result = JSON.parse(stdout) as BootstrapResult;
  const all = { firstHeight: 0, endHeight: segments * regtest.interval };
  t.match(result, { ownScripts: { valid: [all], failure: null }, levels: { scripts: [all], set: [all] } });
  t.ok((result.ownScripts?.inputs ?? 0) > 0);
  t.notOk(existsSync(join(folder, 'scratch', 'new')), 'nothing is left of what was fetched for it');
});

t.test("a forged spent file is found out, and does not keep Core's engine from the chain", async (t) => {
  const chain = await regtestChain(t);
  const folder = tempFolder(t);
  const out = join(folder, 'segments');
  const exported = ['export', '--network', 'regtest', '--datadir', chain.datadir, '--to', out];
  t.equal((await cli(t, exported)).code, 0);
  const { catalogueBytes, spent } = await chainTorrents(t, 'regtest', chain.datadir);
  const parts = catalogueParts(catalogueBytes, regtest);
  const [index, name] = [1, spent[1]?.name ?? ''];
  const { bytes, at } = forge(
    readFileSync(join(out, name)),
    parts[index]?.headers ?? new Uint8Array(),
    regtest.interval,
  );
  const path = join(folder, name);
  writeFileSync(path, bytes);
  const extents = fileExtents(path, bytes.length);
  const hashes = await hashExtents(extents, PIECE_LENGTH_BYTES);
  const forged = makeHybrid({ name, pieceLengthBytes: PIECE_LENGTH_BYTES, ...hashes });
  const catalogue = join(folder, 'catalogue.dat');
  const lie = parts.map((part, number) =>
    number === index ? { ...part, spent: forged.metainfoBytes } : part,
  );
  writeFileSync(catalogue, joinParts(lie, regtest));
  const store = Store.overExtents(forged, extents);
  store.setServableAll();
  const liar = new PeerNode({
    addressLists: null,
    privacy: privacyOf({ listen: '127.0.0.1:0' }, randomBytes),
    peers: [],
    dht: null,
  });
  t.teardown(() => liar.close());
  liar.addContent(forged, store);
  const seed = await startSeed(t, ['--network', 'regtest', '--datadir', chain.datadir, '--no-dht']);
  const { code, stdout, stderr } = await bootstrap(t, {
    datadir: join(folder, 'new'),
    stateDir: join(folder, 'state'),
    network: 'regtest',
    catalogue,
    peers: [seed.listen, `${liar.address.host}:${liar.address.port}`],
    more: PROVE,
  });
  t.equal(code, 0, stderr);
  const result = JSON.parse(stdout) as BootstrapResult;
  const height = index * regtest.interval + at;
  t.match(result.ownScripts?.failure, { height });
  t.match(result.ownScripts?.valid[0], { firstHeight: 0, endHeight: height });
  t.equal(result.height, parts.length * regtest.interval - 1, "Core's engine has its own coins");
  t.match(stderr, new RegExp(`block ${height} is not valid`));
});

t.test('the set is left to Core: asking for it is refused before anything is made', async (t) => {
  const datadir = join(tempFolder(t), 'new');
  const { code, stderr } = await cli(t, ['bootstrap', '--datadir', datadir, '--prove', 'set']);
  t.equal(code, 2);
  t.match(stderr, /ERR_USAGE.*chain and scripts|chain and scripts.*ERR_USAGE/s);
  t.notOk(existsSync(datadir));
});
