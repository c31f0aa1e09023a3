/**
 * `bs_catalogue`: what peers that meet at the rendezvous of a network tell each other (DESIGN §1): a bencoded list of at
 * most 8 claims, each naming a catalogue torrent and what its headers come to. Nothing in it is believed before the
 * catalogue itself was read. Bytes in, values out.
 */
import { type BencodeDict, type BencodeValue, decode, encode, isDict } from '../bencode.js';

/** Its name in the extension handshake. */
export const BS_CATALOGUE = 'bs_catalogue';

export const MAX_CLAIMS = 8;

/** Eight claims with the longest numbers take 1.2 kB. */
export const MAX_BS_CATALOGUE_BYTES = 2048;

/** A catalogue's file name has five digits. */
const MAX_COUNT = 99_999;

/** What somebody says that a catalogue is. */
export interface CatalogueClaim {
  /** 20 bytes. */
  readonly infoHashV1: Uint8Array;
  /** 32 bytes. */
  readonly infoHashV2: Uint8Array;
  readonly lengthBytes: number;
  /** Segments. */
  readonly count: number;
  /** Total work of the headers, 32 bytes, big-endian. */
  readonly work: Uint8Array;
}

/** @throws RangeError for more than `MAX_CLAIMS` */
export function encodeClaims(claims: readonly CatalogueClaim[]): Uint8Array {
  if (claims.length > MAX_CLAIMS)
    throw new RangeError(`"claims" expected at most ${MAX_CLAIMS}, got ${claims.length}`);
  return encode(
    claims.map(
      ({ infoHashV1, infoHashV2, lengthBytes, count, work }) =>
        new Map<string, Uint8Array | number>([
          ['ih1', infoHashV1],
          ['ih2', infoHashV2],
          ['len', lengthBytes],
          ['n', count],
          ['work', work],
        ]),
    ),
  );
}

/** The claims of a message; null when it is malformed: anything but the format, to the byte. */
export function parseClaims(payload: Uint8Array): CatalogueClaim[] | null {
  const list = decoded(payload);
  if (!Array.isArray(list) || list.length > MAX_CLAIMS) return null;
  const claims: CatalogueClaim[] = [];
  for (const each of list) {
    const claim = isDict(each) ? claimOf(each) : null;
    if (!claim) return null;
    claims.push(claim);
  }
  return claims;
}

function decoded(payload: Uint8Array): BencodeValue | null {
  try {
    return decode(payload, { maxBytes: MAX_BS_CATALOGUE_BYTES, maxDepth: 2, maxTokens: 100 });
  } catch {
    return null;
  }
}

function claimOf(dict: BencodeDict): CatalogueClaim | null {
  if (dict.size !== 5) return null;
  const infoHashV1 = bytes(dict.get('ih1'), 20);
  const infoHashV2 = bytes(dict.get('ih2'), 32);
  const lengthBytes = positive(dict.get('len'), Number.MAX_SAFE_INTEGER);
  const count = positive(dict.get('n'), MAX_COUNT);
  const work = bytes(dict.get('work'), 32);
  if (!infoHashV1 || !infoHashV2 || lengthBytes === null || count === null || !work) return null;
  return { infoHashV1, infoHashV2, lengthBytes, count, work };
}

/** A copy: what was decoded is a view into the message. */
function bytes(value: BencodeValue | undefined, length: number): Uint8Array | null {
  return value instanceof Uint8Array && value.length === length ? Uint8Array.from(value) : null;
}

function positive(value: BencodeValue | undefined, most: number): number | null {
  return typeof value === 'number' && value >= 1 && value <= most ? value : null;
}
