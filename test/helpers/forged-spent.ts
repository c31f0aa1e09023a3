/** A catalogue whose author has made up what a segment of the regtest chain spends, and the peer that serves it. */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { privacyOf } from '../../src/connector/privacy.js';
import { makeHybrid, PIECE_LENGTH_BYTES } from '../../src/metainfo/hybrid.js';
import { fileExtents, hashExtents, networkParams, Store } from '../../src/native.js';
import { PeerNode } from '../../src/node/peer-node.js';
import { catalogueParts, joinParts } from './catalogue-peer.js';
import { chainTorrents } from './chain-torrents.js';
import { cliJson } from './cli.js';
import { tempFolder } from './temp.js';

const regtest = networkParams('regtest');

/** What is made up: the script of the last coin that the segment spends, or that there are records at all. */
export type Forgery = 'script' | 'rubbish';

export interface ForgedCatalogue {
  /** Its file. */
  readonly catalogue: string;
  /** `host:port` of the only one who has the spent file. */
  readonly peer: string;
  readonly segments: number;
  /** Of the block that spends the coin. */
  readonly height: number;
}

export async function forgedCatalogue(
  t: Test,
  datadir: string,
  segment: number,
  forgery: Forgery,
): Promise<ForgedCatalogue> {
  const folder = tempFolder(t);
  const out = join(folder, 'segments');
  await cliJson(t, ['export', '--network', 'regtest', '--datadir', datadir, '--to', out]);
  const { catalogueBytes, spent } = await chainTorrents(t, 'regtest', datadir);
  const parts = catalogueParts(catalogueBytes, regtest);
  const name = spent[segment]?.name ?? '';
  const genuine = readFileSync(join(out, name));
  const { bytes, at } = withOtherScript(genuine, parts[segment]?.headers ?? new Uint8Array());
  const path = join(folder, name);
  writeFileSync(path, forgery === 'script' ? bytes : randomBytes(bytes.length));
  const extents = fileExtents(path, bytes.length);
  const hashes = await hashExtents(extents, PIECE_LENGTH_BYTES);
  const forged = makeHybrid({ name, pieceLengthBytes: PIECE_LENGTH_BYTES, ...hashes });
  const catalogue = join(folder, 'catalogue.dat');
  const lie = parts.map((part, index) =>
    index === segment ? { ...part, spent: forged.metainfoBytes } : part,
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
  const { host, port } = liar.address;
  return {
    catalogue,
    peer: `${host}:${port}`,
    segments: parts.length,
    height: segment * regtest.interval + at,
  };
}

/** The last coin that is spent has another script, and its record a fitting checksum; `at` counts from the first block. */
function withOtherScript(spent: Buffer, headers: Uint8Array): { bytes: Buffer; at: number } {
  const bytes = Buffer.from(spent);
  let last = { offset: -1, size: 0, at: -1 };
  for (let at = 0, offset = 0; at < regtest.interval; at++) {
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

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}
