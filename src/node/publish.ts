/** Publishes the newest catalogue of a seeder in the DHT (BEP 46), again every hour: nodes forget items after two. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Dht } from '../discovery/dht.js';
import { type DhtItem, mutableTarget, signItem } from '../discovery/dht-item.js';
import { BlockswarmError } from '../errors.js';
import { toHex } from '../units.js';
import { encodeCatalogueItem } from '../wire/catalogue-item.js';
import type { PublisherKey } from './publisher-key.js';
import type { Report } from './report.js';
import type { Seeder } from './seed.js';

const againMs = 60 * 60_000;
/** While no node takes it. */
const hurryMs = 5000;

/**
 * Refuses what can never publish, before anything is hashed.
 * @throws BlockswarmError ERR_CONFIG without a DHT
 */
export function publishingDht({ peerNode }: Pick<Seeder, 'peerNode'>): Dht {
  if (peerNode.dht) return peerNode.dht;
  throw new BlockswarmError('ERR_CONFIG', 'a catalogue is published in the DHT, which is off');
}

/**
 * Puts the item until the signal fires, anew as soon as there is a newer catalogue. `published` is told each time that
 * nodes took it.
 * @throws BlockswarmError ERR_CONFIG without a DHT, ERR_SPENT_MISSING when no catalogue can be made at the start
 */
export async function publishCatalogue(
  seeder: Seeder,
  key: PublisherKey,
  signal: AbortSignal,
  report: Report,
): Promise<void> {
  const dht = publishingDht(seeder);
  const salt = new TextEncoder().encode(seeder.source.network.name);
  const target = mutableTarget(key.publicKey, salt);
  const last = new LastSeq(join(seeder.statePath, `published-${toHex(target)}.txt`));
  await seeder.caughtUp;
  if (seeder.claims.length === 0 && !signal.aborted) {
    throw new BlockswarmError(
      'ERR_SPENT_MISSING',
      'there is no catalogue to publish: see the warnings above',
    );
  }
  while (!signal.aborted) {
    const either = AbortSignal.any([signal, seeder.catalogues.news]);
    const [claim] = seeder.claims;
    let nodes = 0;
    try {
      if (claim) {
        const value = encodeCatalogueItem(claim);
        const there = await dht.getItem(target, { publicKey: key.publicKey, salt, signal: either });
        const seq = await last.next(there);
        nodes = await dht.putItem(signItem({ value, seq, salt }, key.seed), { signal: either });
        if (nodes > 0) {
          report.event(
            { event: 'published', publicKey: toHex(key.publicKey), segments: claim.count, seq, nodes },
            `published the catalogue of ${claim.count} segments as dht:${toHex(key.publicKey)}: ${nodes} nodes took it`,
          );
        }
      }
      await delay(nodes > 0 ? againMs : hurryMs, undefined, { signal: either });
    } catch (error) {
      if (!either.aborted) throw error;
    }
  }
}

/** The sequence number: Unix seconds of signing, and never lower than the last, whatever the clock does. */
class LastSeq {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  async next(there: DhtItem | null): Promise<number> {
    const kept = Number((await readFile(this.#path, 'utf8').catch(() => '')).trim());
    const last = Math.max(Number.isSafeInteger(kept) ? kept : 0, there?.seq ?? 0);
    const seq = Math.max(Math.floor(Date.now() / 1000), last + 1);
    await writeFile(this.#path, `${seq}\n`, { mode: 0o600 });
    return seq;
  }
}
