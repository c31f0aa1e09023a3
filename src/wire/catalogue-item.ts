/**
 * What a publisher says of his newest catalogue in the DHT (BEP 46 as DESIGN §1 has it): the value `{ih, ih2, n, work}` of a
 * mutable item whose salt is the network's name. Bytes in, values out.
 */
import { decode, encode, isDict } from '../bencode.js';
import type { CatalogueClaim } from './bs-catalogue.js';

/** As a claim, which says the length, too. */
export type PublishedCatalogue = Omit<CatalogueClaim, 'lengthBytes'>;

const MAX_COUNT = 99_999;

export function encodeCatalogueItem({ infoHashV1, infoHashV2, count, work }: PublishedCatalogue): Uint8Array {
  return encode(
    new Map<string, Uint8Array | number>([
      ['ih', infoHashV1],
      ['ih2', infoHashV2],
      ['n', count],
      ['work', work],
    ]),
  );
}

/** Null when it is anything else. */
export function parseCatalogueItem(value: Uint8Array): PublishedCatalogue | null {
  const dict = decoded(value);
  if (dict?.size !== 4) return null;
  const [infoHashV1, infoHashV2, count, work] = ['ih', 'ih2', 'n', 'work'].map((key) => dict.get(key));
  if (!isBytes(infoHashV1, 20) || !isBytes(infoHashV2, 32) || !isBytes(work, 32)) return null;
  if (typeof count !== 'number' || count < 1 || count > MAX_COUNT) return null;
  return { infoHashV1, infoHashV2, count, work };
}

function decoded(value: Uint8Array) {
  try {
    const dict = decode(Uint8Array.from(value), { maxBytes: 1000, maxDepth: 1, maxTokens: 10 });
    return isDict(dict) ? dict : null;
  } catch {
    return null;
  }
}

function isBytes(value: unknown, length: number): value is Uint8Array {
  return value instanceof Uint8Array && value.length === length;
}
