import t from 'tap';
import { decode, type Encodable, encode } from '../../src/bencode.js';
import { makeHybrid, PIECE_LENGTH_BYTES } from '../../src/metainfo/hybrid.js';
import { parseInfo, parseMetainfo } from '../../src/metainfo/metainfo.js';
import {
  catalogueFileName,
  isCatalogueTorrent,
  isSegmentTorrent,
  parseFileName,
  parseSegmentMetainfo,
  segmentFileName,
} from '../../src/metainfo/segment.js';
import { torrentHashes } from '../helpers/torrent-hashes.js';

const content = new Uint8Array(PIECE_LENGTH_BYTES + 5).fill(1);
const hashes = torrentHashes(content, PIECE_LENGTH_BYTES);
const made = makeHybrid({ name: 'bitcoin-regtest-spent-00003.dat', ...hashes });

t.test('file names are the rule of the format', async (t) => {
  t.equal(segmentFileName('mainnet', 42, 'blocks'), 'bitcoin-mainnet-blocks-00042.dat');
  t.equal(segmentFileName('signet-0a03cf40', 0, 'spent'), 'bitcoin-signet-0a03cf40-spent-00000.dat');
  t.equal(catalogueFileName('testnet4', 99_999), 'bitcoin-testnet4-catalogue-99999.dat');
  for (const network of ['', 'MAINNET', 'signet-0A03CF40', 'signet-0a', '../x', 'main']) {
    t.throws(() => segmentFileName(network, 0, 'blocks'), RangeError, network);
  }
  for (const number of [-1, 1.5, 100_000, Number.NaN]) {
    t.throws(() => segmentFileName('mainnet', number, 'blocks'), RangeError, String(number));
  }
});

t.test('file names are taken apart', async (t) => {
  t.same(parseFileName('bitcoin-mainnet-blocks-00042.dat'), {
    network: 'mainnet',
    kind: 'blocks',
    number: 42,
  });
  t.same(parseFileName('bitcoin-signet-0a03cf40-catalogue-00007.dat'), {
    network: 'signet-0a03cf40',
    kind: 'catalogue',
    number: 7,
  });
  const names = [
    'bitcoin-mainnet-blocks-42.dat',
    'bitcoin-mainnet-blocks-000042.dat',
    'bitcoin-main-blocks-00042.dat',
  ];
  for (const name of [
    ...names,
    'bitcoin-mainnet-hints-00042.dat',
    'bitcoin-mainnet-blocks-00042.dat\n',
    '',
  ]) {
    t.equal(parseFileName(name), null, name);
  }
});

t.test('a torrent by the rule is known, and only under its own name', async (t) => {
  t.ok(isSegmentTorrent(made, 'regtest', 3, 'spent'));
  t.notOk(isSegmentTorrent(made, 'regtest', 3, 'blocks'));
  t.notOk(isSegmentTorrent(made, 'regtest', 4, 'spent'));
  t.notOk(isSegmentTorrent(made, 'signet', 3, 'spent'));
  const catalogue = makeHybrid({ name: 'bitcoin-regtest-catalogue-00003.dat', ...hashes });
  t.ok(isCatalogueTorrent(catalogue, 'regtest', 3));
  t.notOk(isCatalogueTorrent(catalogue, 'regtest', 2));
  t.same(parseSegmentMetainfo(made.metainfoBytes, 'regtest', 3, 'spent').infoHashV1, made.infoHashV1);
});

t.test('nothing may vary', async (t) => {
  const change = (edit: (root: Map<string, Encodable>, info: Map<string, Encodable>) => void) => {
    const root = decode(made.metainfoBytes) as Map<string, Encodable>;
    edit(root, root.get('info') as Map<string, Encodable>);
    return encode(root);
  };
  const inInfo = {
    'a private flag': change((_, info) => info.set('private', 1)),
    'a source': change((_, info) => info.set('source', 'x')),
    'no v1 half': change((_, info) => {
      info.delete('pieces');
      info.delete('length');
    }),
  };
  for (const [what, bytes] of Object.entries(inInfo)) {
    t.notOk(isSegmentTorrent(parseMetainfo(bytes), 'regtest', 3, 'spent'), what);
    t.throws(() => parseSegmentMetainfo(bytes, 'regtest', 3, 'spent'), { code: 'ERR_METAINFO' }, what);
  }
  const outside = {
    'a tracker': change((root) => root.set('announce', 'http://a.example')),
    'a date': change((root) => root.set('creation date', 1)),
    'no layers': change((root) => root.delete('piece layers')),
  };
  for (const [what, bytes] of Object.entries(outside)) {
    t.throws(() => parseSegmentMetainfo(bytes, 'regtest', 3, 'spent'), { code: 'ERR_METAINFO' }, what);
  }
  const other = makeHybrid({ name: made.name, ...torrentHashes(content, PIECE_LENGTH_BYTES / 2) });
  t.notOk(isSegmentTorrent(other, 'regtest', 3, 'spent'), 'another piece length');
  t.notOk(isSegmentTorrent(parseInfo(made.infoBytes), 'regtest', 3, 'spent'), 'an unproven layer');
});
