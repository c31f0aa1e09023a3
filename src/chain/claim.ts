/**
 * Claims about catalogues: where those who make them meet, which can be true at all, and when the headers that were
 * received contradict one. A claim decides only what is tried first; what a catalogue is, its records say.
 */
import { createHash } from 'node:crypto';
import type { HeaderChain, Network } from '../native.js';
import { toHex } from '../units.js';

/** What is said of a catalogue; one of a BEP 46 item says no length. */
export interface Claim {
  /** 20 bytes. */
  readonly infoHashV1: Uint8Array;
  /** 32 bytes. */
  readonly infoHashV2: Uint8Array;
  readonly lengthBytes?: number;
  /** Segments. */
  readonly count: number;
  /** 32 bytes, big-endian. */
  readonly work: Uint8Array;
}

/** DESIGN §1: a metainfo is at most 4 MiB, and each record has two behind their lengths. */
const maxRecordMetainfoBytes = 2 * (4 + 4 * 2 ** 20);
/** Its magic and the network's. */
const headBytes = 12;

/** The infohash (20 bytes) under which a network's seeders are met (DESIGN §1). */
export function rendezvousInfoHash(network: Network): Uint8Array {
  const hash = createHash('sha1').update('blockswarm1 catalogue ').update(network.genesisHash);
  return Uint8Array.from(hash.digest());
}

/** Whether a catalogue of so many segments can be so long. */
export function isCatalogueLength(lengthBytes: number, count: number, network: Network): boolean {
  const headersBytes = 80 * network.interval;
  return (
    count >= 1 &&
    lengthBytes >= headBytes + count * headersBytes &&
    lengthBytes <= headBytes + count * (headersBytes + maxRecordMetainfoBytes)
  );
}

/** Whether it can be true, and is worth a try: a chain with less work than the floor is of no use. */
export function isWorthTrying(claim: Claim, network: Network, floor: Uint8Array): boolean {
  const { lengthBytes, count, work } = claim;
  if (lengthBytes !== undefined && !isCatalogueLength(lengthBytes, count, network)) return false;
  // Each header has some work: less cannot be.
  return Buffer.compare(work, floor) >= 0 && number(work) >= BigInt(count) * BigInt(network.interval);
}

/**
 * How the headers so far contradict a claim; null while they do not. Besides what is there: work a block grows at most
 * four times in a difficulty period, so near its end a chain cannot come to what was claimed any more.
 */
export function contradiction(claim: Claim, chain: HeaderChain, network: Network): string | null {
  const height = chain.height();
  if (height < 0) return null;
  const claimed = number(claim.work);
  const work = number(chain.workAt(height));
  const left = claim.count * network.interval - (height + 1);
  const says = `${claim.count} segments with work 0x${toHex(claim.work).replace(/^0+(?=.)/, '')} were claimed`;
  if (left < 0 || work > claimed) return `${says}, but its headers have more`;
  if (left === 0) return work === claimed ? null : `${says}, but its headers have less`;
  // Blocks of least difficulty in between say nothing about those that follow.
  if (network.name.startsWith('testnet')) return null;
  const before = height === 0 ? 0n : number(chain.workAt(height - 1));
  return work + mostWork(work - before, left, network.interval, claimed - work) < claimed
    ? `${says}, but its headers cannot come to that any more`
    : null;
}

/** The most work of `left` more blocks, counted up to `enough`. */
function mostWork(perBlock: bigint, left: number, interval: number, enough: bigint): bigint {
  let sum = 0n;
  let each = perBlock;
  for (let blocks = left; blocks > 0 && sum < enough; blocks -= interval) {
    // The period under way may end at once, so the next one counts already.
    each *= 4n;
    sum += each * BigInt(interval);
  }
  return sum;
}

function number(bytes: Uint8Array): bigint {
  return BigInt(`0x${toHex(bytes)}`);
}
