/**
 * The torrents of the chain: their file names, and whether a torrent is made exactly by the rule.
 *
 * A file name is `bitcoin-<network>-<kind>-<number>.dat`, the number with 5 digits: the segment for `blocks` and
 * `spent`, the number of segments for `catalogue`.
 */

import { BlockswarmError } from '../errors.js';
import { sameBytes } from '../units.js';
import { type HybridTorrent, makeHybrid, PIECE_LENGTH_BYTES } from './hybrid.js';
import { type Metainfo, parseMetainfo } from './metainfo.js';

/** What is in a file of a segment: full blocks, or the outputs that they spend. */
export type SegmentKind = 'blocks' | 'spent';

/** Torrents of the chain have fewer pieces than this: rain's limit, the lowest we know of. */
export const MAX_SEGMENT_PIECES = 65_536;

const NETWORK = /^(?:mainnet|testnet3|testnet4|signet|regtest|signet-[0-9a-f]{8})$/;
const FILE_NAME = /^bitcoin-([a-z0-9]+(?:-[0-9a-f]{8})?)-(blocks|spent|catalogue)-([0-9]{5})\.dat$/;
const MAX_NUMBER = 99_999;

/** `bitcoin-mainnet-blocks-00042.dat`. */
export function segmentFileName(network: string, segment: number, kind: SegmentKind): string {
  return fileName(network, kind, segment);
}

/** `bitcoin-mainnet-catalogue-00480.dat`: the catalogue of the segments `[0, count)`. */
export function catalogueFileName(network: string, count: number): string {
  return fileName(network, 'catalogue', count);
}

/** `bitcoin-mainnet-hints-00480.dat`: which coins of the segments `[0, count)` survive. */
export function hintsFileName(network: string, count: number): string {
  return fileName(network, 'hints', count);
}

/** `bitcoin-mainnet-sums-00480.dat`: what each of the segments `[0, count)` creates and spends. */
export function sumsFileName(network: string, count: number): string {
  return fileName(network, 'sums', count);
}

/** `bitcoin-mainnet-utxo-840000.dat`: the coins that the block at that height leaves. */
export function snapshotFileName(network: string, height: number): string {
  return `bitcoin-${network}-utxo-${height}.dat`;
}

/** Takes a file name of a segment or catalogue apart, or gives `null` when it is none. */
export function parseFileName(
  name: string,
): { network: string; kind: SegmentKind | 'catalogue'; number: number } | null {
  const match = FILE_NAME.exec(name);
  const network = match?.[1] ?? '';
  if (match === null || !NETWORK.test(network)) return null;
  return { network, kind: match[2] as SegmentKind | 'catalogue', number: Number(match[3]) };
}

/** Whether a torrent is exactly the one that the rule makes of the segment's file. */
export function isSegmentTorrent(
  metainfo: Metainfo,
  network: string,
  segment: number,
  kind: SegmentKind,
): boolean {
  return followsRule(metainfo, segmentFileName(network, segment, kind));
}

/** Whether a torrent is exactly the one that the rule makes of catalogue `count`. */
export function isCatalogueTorrent(metainfo: Metainfo, network: string, count: number): boolean {
  return followsRule(metainfo, catalogueFileName(network, count));
}

/**
 * Parses the metainfo of a segment's file as a catalogue holds it: every byte follows the rule.
 *
 * @throws BlockswarmError ERR_BENCODE, ERR_METAINFO
 */
export function parseSegmentMetainfo(
  bytes: Uint8Array,
  network: string,
  segment: number,
  kind: SegmentKind,
): Metainfo {
  const metainfo = parseMetainfo(bytes);
  const name = segmentFileName(network, segment, kind);
  const made = remake(metainfo, name);
  if (made === null || !sameBytes(made.metainfoBytes, bytes)) {
    throw new BlockswarmError('ERR_METAINFO', `torrent: not made by the rule for \`${name}\``);
  }
  return metainfo;
}

/** Makes the torrent again by the rule from a torrent's hashes; `null` when they are not all there or over a limit. */
function remake(metainfo: Metainfo, name: string): HybridTorrent | null {
  const { pieces, piecesRoot, pieceLayer, lengthBytes, pieceCount } = metainfo;
  if (metainfo.name !== name || metainfo.pieceLengthBytes !== PIECE_LENGTH_BYTES) return null;
  if (pieces === null || piecesRoot === null || pieceCount >= MAX_SEGMENT_PIECES) return null;
  if (pieceLayer === null) return null;
  return makeHybrid({
    name,
    lengthBytes,
    pieceLengthBytes: PIECE_LENGTH_BYTES,
    pieces,
    piecesRoot,
    pieceLayer,
  });
}

function followsRule(metainfo: Metainfo, name: string): boolean {
  const made = remake(metainfo, name);
  return made !== null && sameBytes(made.infoBytes, metainfo.infoBytes);
}

function fileName(network: string, kind: string, number: number): string {
  if (!NETWORK.test(network)) throw new RangeError(`"network" expected a network's name, got ${network}`);
  if (!Number.isInteger(number) || number < 0 || number > MAX_NUMBER) {
    throw new RangeError(`"number" expected integer in 0..${MAX_NUMBER}, got ${number}`);
  }
  return `bitcoin-${network}-${kind}-${String(number).padStart(5, '0')}.dat`;
}
