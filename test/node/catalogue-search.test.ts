/** A newcomer among liars: real nodes on loopback, a real chain, and every lie about it that we could think of. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { privacyOf } from '../../src/connector/privacy.js';
import type { PeerAddress } from '../../src/connector.js';
import { makeHybrid, PIECE_LENGTH_BYTES } from '../../src/metainfo/hybrid.js';
import { type SegmentKind, segmentFileName } from '../../src/metainfo/segment.js';
import { type Network, networkParams } from '../../src/native.js';
import { BadCatalogues } from '../../src/node/bad-catalogues.js';
import { searchCatalogue } from '../../src/node/catalogue-search.js';
import { catalogueSources } from '../../src/node/catalogue-sources/named.js';
import { PeerNode } from '../../src/node/peer-node.js';
import { toHex } from '../../src/units.js';
import type { CatalogueClaim } from '../../src/wire/bs-catalogue.js';
import { type CataloguePeer, catalogueParts, cataloguePeer, joinParts } from '../helpers/catalogue-peer.js';
import { chainTorrents } from '../helpers/chain-torrents.js';
import { startSeed } from '../helpers/cli.js';
import { dhtHub } from '../helpers/dht-hub.js';
import { regtestChain } from '../helpers/regtest-chain.js';
import { regtestFork } from '../helpers/regtest-fork.js';
import { sampleDatadir } from '../helpers/sample-datadir.js';
import { tempFolder } from '../helpers/temp.js';

const regtest = networkParams('regtest');

interface Newcomer {
  readonly dht?: readonly PeerAddress[];
  readonly peers?: readonly PeerAddress[];
  readonly sources?: readonly string[];
  readonly stateFolder?: string;
  readonly stateDir?: string;
  readonly network?: Network;
  readonly floor?: Uint8Array;
  readonly timeoutSeconds?: number;
}

async function search(t: Test, options: Newcomer) {
  const { dht = null, peers = [], sources, network = regtest, floor = new Uint8Array(32) } = options;
  const { stateFolder = tempFolder(t), stateDir = tempFolder(t), timeoutSeconds = 60 } = options;
  const node = new PeerNode({
    addressLists: null,
    privacy: privacyOf({ listen: '127.0.0.1:0' }, randomBytes),
    peers,
    dht,
  });
  const folder = join(tempFolder(t), 'scratch');
  mkdirSync(folder);
  const events: { readonly event: string; readonly [key: string]: unknown }[] = [];
  const warnings: string[] = [];
  const report = {
    progress: () => {},
    warn: (text: string) => warnings.push(text),
    event: (event: (typeof events)[number]) => events.push(event),
  };
  const stop = new AbortController();
  const bad = await BadCatalogues.open(stateFolder);
  try {
    const chosen = await searchCatalogue({
      network,
      floor,
      folder,
      peerNode: node,
      bad,
      sources: catalogueSources(sources, { network, peerNode: node, stateDir, datadir: null }),
      timeoutSeconds,
      graceMs: 4000,
      report,
      signal: stop.signal,
    });
    const { downloadedBytes } = node.stats();
    return { chosen, events, warnings, downloadedBytes };
  } finally {
    await node.close();
  }
}

/** A torrent of the right form for a segment; its hashes are of nothing. */
function madeUpTorrent(network: Network, index: number, kind: SegmentKind, fill: number) {
  return makeHybrid({
    name: segmentFileName(network.name, index, kind),
    lengthBytes: 100_000,
    pieceLengthBytes: PIECE_LENGTH_BYTES,
    pieces: new Uint8Array(20).fill(fill),
    piecesRoot: new Uint8Array(32).fill(fill),
    pieceLayer: new Uint8Array(0),
  });
}

function madeUp(network: Network, index: number, kind: SegmentKind, fill: number): Uint8Array {
  return madeUpTorrent(network, index, kind, fill).metainfoBytes;
}

const huge = new Uint8Array(32).fill(0xff);

/** The DHT's first node, an honest seeder with the whole catalogue, and the catalogue. */
async function world(t: Test) {
  const chain = await regtestChain(t);
  const { catalogueBytes, catalogues } = await chainTorrents(t, 'regtest', chain.datadir);
  const hub = dhtHub(t);
  const dht = [hub.address];
  const honest = cataloguePeer(t, regtest, dht);
  const truth = await honest.serve(catalogueBytes, catalogues.length);
  const parts = catalogueParts(catalogueBytes, regtest);
  return { dht, honest, truth, catalogueBytes, parts, count: catalogues.length };
}

t.test(
  'a newcomer with one DHT node and one honest peer among liars ends with the best catalogue',
  async (t) => {
    const { dht, honest, truth, catalogueBytes, parts, count } = await world(t);
    honest.rendezvous.tell([truth]);
    const liar = () => cataloguePeer(t, regtest, dht);
    const tells = async (peer: CataloguePeer, claims: readonly CatalogueClaim[]) =>
      peer.rendezvous.tell(claims);
    const none = { infoHashV1: huge.slice(0, 20), infoHashV2: huge, lengthBytes: 1e9, work: huge };
    // Nobody has it: n and work beyond all reason, and lengths that cannot be.
    await tells(liar(), [
      { ...none, count: 99_999, lengthBytes: 12 + 99_999 * 144 * 80 },
      { ...none, count: 99_999, lengthBytes: 1 },
      { ...none, count: 1, lengthBytes: Number.MAX_SAFE_INTEGER },
    ]);
    // Real headers of a chain with less work, told as they are, and as if they had more.
    const fork = regtestFork(regtest, 2 * 144);
    const forked = [0, 1].map((index) => ({
      headers: fork.subarray(index * 144 * 80, (index + 1) * 144 * 80),
      blocks: madeUp(regtest, index, 'blocks', 9),
      spent: madeUp(regtest, index, 'spent', 9),
    }));
    const forker = liar();
    const forkClaim = await forker.serve(joinParts(forked, regtest), 2);
    await tells(forker, [forkClaim]);
    const boaster = liar();
    const boast = await boaster.serve(joinParts(forked.slice(0, 1), regtest), 1);
    await tells(boaster, [{ ...boast, work: huge }]);
    // Another network's catalogue, in the name of this one.
    const sample = await chainTorrents(t, 'mainnet', await sampleDatadir());
    const foreigner = liar();
    const foreign = await foreigner.serve(sample.catalogueBytes, 6);
    await tells(foreigner, [{ ...foreign, work: huge }]);
    // A header that breaks a rule in the second segment.
    const broken = Uint8Array.from(catalogueBytes);
    const second = joinParts(parts.slice(0, 1), regtest).length;
    broken[second + 80 * 10 + 40] = (broken[second + 80 * 10 + 40] ?? 0) ^ 1;
    const breaker = liar();
    await tells(breaker, [{ ...(await breaker.serve(broken, count)), work: huge }]);
    // The name of the honest torrent, with something else said of it: that must not be held against the torrent.
    await tells(liar(), [
      { ...truth, work: huge },
      { ...truth, count: 90_000, lengthBytes: 12 + 90_000 * 144 * 80, work: huge },
      { ...truth, infoHashV2: huge },
    ]);
    const stateFolder = tempFolder(t);
    const { chosen, events } = await search(t, { dht, sources: ['rendezvous'], stateFolder });
    t.equal(chosen.reader.records.length, count);
    t.same(chosen.fetched?.torrent.infoHashV1, truth.infoHashV1);
    const liars = events.filter(({ event }) => event === 'catalogue-liar');
    t.ok(liars.length >= 3, `${liars.length} liars were found out`);
    const kept = readFileSync(join(stateFolder, 'bad-catalogues.txt'), 'utf8');
    t.match(kept, toHex(foreign.infoHashV1), 'what was a lie is remembered');
    t.notMatch(kept, toHex(truth.infoHashV1));
    t.notMatch(kept, toHex(boast.infoHashV1), 'not what was only said wrongly');
  },
);

t.test(
  'right headers with wrong infohashes: what most say is used, and the difference is told by segment',
  async (t) => {
    const { dht, honest, truth, parts, count } = await world(t);
    honest.rendezvous.tell([truth]);
    const second = cataloguePeer(t, regtest, dht);
    second.rendezvous.tell([await second.serve(joinParts(parts, regtest), count)]);
    const liar = cataloguePeer(t, regtest, dht);
    const wrong = parts.map((part, index) =>
      index === 1 ? { ...part, blocks: madeUp(regtest, 1, 'blocks', 7) } : part,
    );
    const lie = await liar.serve(joinParts(wrong, regtest), count);
    liar.rendezvous.tell([lie]);
    const { chosen, events } = await search(t, { dht, sources: ['rendezvous'] });
    t.same(chosen.fetched?.torrent.infoHashV1, truth.infoHashV1);
    t.same([...chosen.disputed], [1]);
    const [dispute] = events.filter(({ event }) => event === 'catalogue-dispute');
    t.equal(dispute?.['segment'], 1);

    await t.test(
      'and once its blocks showed it to be a lie, it is refused wherever it comes from',
      async (t) => {
        const stateFolder = tempFolder(t);
        const bad = await BadCatalogues.open(stateFolder);
        const { infoHashV1 } = madeUpTorrent(regtest, 1, 'blocks', 7);
        await bad.add(infoHashV1, 'the block at height 144 is not the chain’s');
        const path = join(tempFolder(t), 'lie.dat');
        writeFileSync(path, joinParts(wrong, regtest));
        await t.rejects(search(t, { sources: [path], stateFolder }), {
          code: 'ERR_CATALOGUE',
          message: /known to be bad/,
        });
      },
    );
  },
);

t.test('of several sources the one with the most work is used, and none that fails is fatal', async (t) => {
  const { honest, truth, catalogueBytes, parts, count } = await world(t);
  const folder = tempFolder(t);
  const [short, whole] = [join(folder, 'short.dat'), join(folder, 'whole.dat')];
  writeFileSync(short, joinParts(parts.slice(0, 1), regtest));
  writeFileSync(whole, catalogueBytes);
  const server = createServer((request, response) => {
    if (request.url === '/c.dat') response.end(catalogueBytes);
    else response.writeHead(404).end('<html>no</html>');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const peers = [honest.node.address];
  const hash = toHex(truth.infoHashV1);

  for (const [sources, from] of [
    [[short, whole], whole],
    [[`${url}/missing.dat`, join(folder, 'nothing.dat'), hash], hash],
    [[short, toHex(truth.infoHashV2)], toHex(truth.infoHashV2)],
    [[short, `${url}/c.dat#secret`], `${url}/c.dat`],
    [[`datadir:${(await regtestChain(t)).datadir}`, short], `datadir:${(await regtestChain(t)).datadir}`],
  ] as const) {
    const { chosen, events } = await search(t, { peers, sources });
    t.equal(chosen.reader.records.length, count);
    t.equal(chosen.from, from);
    t.notMatch(JSON.stringify(events), /secret/);
  }
});

t.test(
  'a catalogue on a web server is judged part by part, and no more is asked for than a lie',
  async (t) => {
    const { catalogueBytes, parts, count } = await world(t);
    const partBytes = 20_000;
    const asked: string[] = [];
    const lie = Buffer.from(catalogueBytes);
    lie[partBytes + 100] = 1 ^ (lie[partBytes + 100] ?? 0);
    const files = new Map<string | undefined, Uint8Array>([
      ['/whole.dat', catalogueBytes],
      ['/lie.dat', lie],
      ['/cut.dat', catalogueBytes.subarray(0, partBytes + 1)],
    ]);
    const server = createServer((request, response) => {
      asked.push(request.url ?? '');
      const file = files.get(request.url) ?? new Uint8Array();
      const start = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1]);
      const part = file.subarray(start, start + partBytes);
      const range = `bytes ${start}-${start + part.length - 1}/${file.length}`;
      response.writeHead(206, { 'content-range': range }).end(part);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.teardown(() => server.close());
    const url = (name: string) => `http://127.0.0.1:${(server.address() as AddressInfo).port}/${name}`;
    const { chosen } = await search(t, { sources: [url('whole.dat')] });
    t.equal(chosen.reader.records.length, count);
    t.equal(asked.length, Math.ceil(catalogueBytes.length / partBytes));
    const short = join(tempFolder(t), 'short.dat');
    writeFileSync(short, joinParts(parts.slice(0, 1), regtest));
    for (const name of ['lie.dat', 'cut.dat']) {
      asked.length = 0;
      const { chosen } = await search(t, { sources: [url(name), short] });
      t.equal(chosen.from, short);
      t.ok(asked.length <= 3, `${name}: ${asked.length} parts`);
    }
  },
);

t.test('the catalogue of a data directory is had beside the process that seeds it', async (t) => {
  const { datadir } = await regtestChain(t);
  const stateDir = tempFolder(t);
  const where = ['--network', 'regtest', '--datadir', datadir, '--state-dir', stateDir];
  const sources = [`datadir:${datadir}`];
  const alone = await search(t, { sources });
  await startSeed(t, [...where, '--no-dht', '--no-trackers']);
  const beside = await search(t, { sources, stateDir });
  t.same(beside.chosen.reader.records, alone.chosen.reader.records);
});

t.test('when all sources fail it is said what is missing and how to go on', async (t) => {
  const sources = ['rendezvous', join(tempFolder(t), 'nothing.dat'), 'http://127.0.0.1:1/c.dat'];
  await t.rejects(search(t, { sources, timeoutSeconds: 4 }), {
    message: /nothing\.dat: .*rendezvous: nobody|rendezvous: nobody.*To go on: name a peer/s,
  });
  await t.rejects(search(t, { sources: ['rendezvous'], timeoutSeconds: 4 }), {
    code: 'ERR_NO_PEERS',
    message: /neither the headers nor the torrents are known.*To go on/,
  });
});

t.test('a chain with less work than the floor does not count, whoever has it', async (t) => {
  const { dht, honest, truth } = await world(t);
  honest.rendezvous.tell([truth]);
  const floor = new Uint8Array(32).fill(1);
  await t.rejects(search(t, { dht, sources: [toHex(truth.infoHashV1)], floor }), { code: 'ERR_CHAIN_WORK' });
  await t.rejects(search(t, { dht, sources: ['rendezvous'], floor, timeoutSeconds: 6 }), {
    code: 'ERR_NO_PEERS',
  });
});
