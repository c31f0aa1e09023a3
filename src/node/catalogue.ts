/** Where a catalogue comes from: a file here; from peers in `catalogue-fetch.ts`. */
import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import { CatalogueReader } from '../chain/catalogue.js';
import { BlockswarmError } from '../errors.js';
import { parseFileName } from '../metainfo/segment.js';
import type { Network } from '../native.js';
import { toHex } from '../units.js';
import type { Report } from './report.js';

const chunkBytes = 1 << 20;

/**
 * Reads and judges a catalogue file. When its name is a catalogue's, it must hold as many records as it says.
 * @throws BlockswarmError ERR_CATALOGUE, ERR_HEADERS, ERR_NETWORK_MISMATCH, ERR_IO
 */
export async function readCatalogueFile(
  path: string,
  network: Network,
  signal: AbortSignal,
): Promise<CatalogueReader> {
  const reader = new CatalogueReader(network, Date.now() / 1000);
  const named = parseFileName(basename(path));
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: chunkBytes, signal }))
      reader.push(chunk);
  } catch (cause) {
    if (cause instanceof BlockswarmError || signal.aborted) throw cause;
    throw new BlockswarmError('ERR_IO', `cannot read the catalogue ${path}: ${(cause as Error).message}`, {
      cause,
    });
  }
  reader.finish(named?.kind === 'catalogue' ? named.number : undefined);
  return reader;
}

/**
 * The least work that a header chain must show: the network's from Core's parameters, or the user's.
 * @throws BlockswarmError ERR_USAGE when the text is not up to 64 hex digits
 */
export function chainWorkFloor(network: Network, hex: string | undefined, report: Report): Uint8Array {
  if (hex === undefined) return network.minChainWork;
  const digits = hex.replace(/^0x/i, '');
  if (!/^[0-9a-f]{1,64}$/i.test(digits)) {
    throw new BlockswarmError('ERR_USAGE', `--min-chain-work expects up to 64 hex digits, got \`${hex}\``);
  }
  const floor = new Uint8Array(Buffer.from(digits.padStart(64, '0'), 'hex'));
  if (Buffer.compare(floor, network.minChainWork) < 0) {
    report.warn(
      `THE FLOOR FOR THE CHAIN'S WORK WAS LOWERED to 0x${digits} (${network.name}: 0x${toHex(network.minChainWork).replace(/^0+/, '')}). ` +
        'Headers with little work are cheap to make up: use the result for tests only.',
    );
  }
  return floor;
}
