/**
 * Catalogues that others claim to have at the rendezvous (DESIGN §1). Claims are tried in order of work, a few at a time
 * and each claimant's one after the other, so that who claims the most holds up nobody. A claimant whose claim was false
 * is not heard again in this run; one honest peer is enough.
 */
import { isWorthTrying } from '../../chain/claim.js';
import { shownAddress } from '../../connector/shown-address.js';
import { BlockswarmError } from '../../errors.js';
import { sameBytes, toHex } from '../../units.js';
import { isLie } from '../catalogue-fetch.js';
import type { HeardClaim, Rendezvous } from '../rendezvous.js';
import type { CatalogueSearch, CatalogueSource } from './source.js';

/** Claims on trial at a time. */
const maxTrials = 4;
/** A claimant whose catalogue does not come is patiently waited for; what somebody else claims is tried beside it. */
const trialTimeoutSeconds = 30;
/** Catalogues that did not come, before a claimant is not tried any more. */
const maxFailures = 2;
/** Of different catalogues that claim the same work, so many are read: to say where they differ, and who says what. */
const maxEquals = 3;
/** Time for others to be heard, since something new was. */
const quietMs = 3000;

export class RendezvousSource implements CatalogueSource {
  readonly name = 'rendezvous';
  readonly #rendezvous: Rendezvous;
  /** Claimants who lied. */
  readonly #liars = new Set<string>();
  readonly #failures = new Map<string, number>();
  /** Claims that were tried, as objects of the table of the heard. */
  readonly #tried = new Set<string>();
  /** Claimants and infohashes that are on trial. */
  readonly #busy = new Set<string>();
  readonly #equals = new Map<string, number>();
  #trials = 0;
  #wake: () => void = () => {};
  #newsAtMs = 0;

  constructor(rendezvous: Rendezvous) {
    this.#rendezvous = rendezvous;
  }

  async find(search: CatalogueSearch, signal: AbortSignal): Promise<void> {
    const endMs = performance.now() + search.timeoutSeconds * 1000;
    this.#newsAtMs = performance.now();
    this.#rendezvous.look(() => {
      this.#newsAtMs = performance.now();
      this.#wake();
    });
    const aborted = () => this.#wake();
    signal.addEventListener('abort', aborted);
    try {
      for (;;) {
        signal.throwIfAborted();
        const nowMs = performance.now();
        const isQuiet = nowMs - this.#newsAtMs >= quietMs;
        // The first one heard is not the best one.
        if (isQuiet) while (this.#trials < maxTrials && this.#begin(search, signal)) {}
        const isIdle = isQuiet && this.#trials === 0;
        if (isIdle && search.best && this.#rendezvous.links > 0) return;
        if (isIdle && nowMs >= endMs) throw this.#nobody(search);
        const waitMs = isQuiet
          ? Math.min(1000, Math.max(1, endMs - nowMs))
          : this.#newsAtMs + quietMs - nowMs;
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, waitMs);
          this.#wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
    } finally {
      this.#rendezvous.rest();
      signal.removeEventListener('abort', aborted);
    }
  }

  /** Begins the best trial that may begin; false when there is none. */
  #begin(search: CatalogueSearch, signal: AbortSignal): boolean {
    let best: HeardClaim | null = null;
    for (const heard of this.#rendezvous.heard) {
      if (this.#mayTry(heard, search) && (!best || isBetter(heard, best))) best = heard;
    }
    if (!best) return false;
    void this.#try(best, search, signal);
    return true;
  }

  #mayTry({ claim, claimants }: HeardClaim, { network, floor, best, bad }: CatalogueSearch): boolean {
    const names = [...claimants.keys()].filter((name) => !this.#isGivenUp(name));
    if (names.length === 0 || names.every((name) => this.#busy.has(name))) return false;
    const infoHash = toHex(claim.infoHashV1);
    if (this.#busy.has(infoHash) || this.#tried.has(claimKey(claim))) return false;
    if (!isWorthTrying(claim, network, floor) || bad.reason(claim.infoHashV1) !== null) return false;
    if (!best) return true;
    const order = Buffer.compare(claim.work, workOf(best.reader));
    if (order !== 0) return order > 0;
    const isSame =
      best.fetched && sameBytes(best.fetched.torrent.infoHashV1 ?? new Uint8Array(), claim.infoHashV1);
    return !isSame && (this.#equals.get(toHex(claim.work)) ?? 0) < maxEquals;
  }

  #isGivenUp(name: string): boolean {
    return this.#liars.has(name) || (this.#failures.get(name) ?? 0) >= maxFailures;
  }

  async #try({ claim, claimants }: HeardClaim, search: CatalogueSearch, signal: AbortSignal): Promise<void> {
    const infoHash = toHex(claim.infoHashV1);
    const work = toHex(claim.work);
    const names = [...claimants.keys()];
    const busy = [infoHash, ...names.filter((name) => !this.#busy.has(name))];
    for (const each of busy) this.#busy.add(each);
    this.#tried.add(claimKey(claim));
    this.#equals.set(work, (this.#equals.get(work) ?? 0) + 1);
    this.#trials++;
    const peers = [...claimants.values()].filter((address) => address !== null);
    try {
      const wish = { infoHash, claim, peers, timeoutSeconds: trialTimeoutSeconds };
      const fetched = await search.fetch(wish, signal);
      search.offer({ reader: fetched.reader, from: this.name, voices: claimants.size, fetched });
    } catch (error) {
      if (!signal.aborted) this.#blame(names, error, search);
    } finally {
      for (const each of busy) this.#busy.delete(each);
      this.#trials--;
      this.#wake();
    }
  }

  #blame(names: readonly string[], error: unknown, { report, peerNode }: CatalogueSearch): void {
    const reason = error instanceof Error ? error.message : String(error);
    if (isLie(error)) {
      for (const name of names) this.#liars.add(name);
      const claimants = names.map((name) => shownAddress(name, peerNode.logAddresses));
      const text = `a catalogue claimed by ${claimants.join(', ')} is a lie: ${reason}`;
      report.event({ event: 'catalogue-liar', claimants, reason }, text);
    } else for (const name of names) this.#failures.set(name, (this.#failures.get(name) ?? 0) + 1);
  }

  #nobody({ timeoutSeconds }: CatalogueSearch): BlockswarmError {
    const { links } = this.#rendezvous;
    const heard = [...this.#rendezvous.heard].length;
    return new BlockswarmError(
      'ERR_NO_PEERS',
      heard === 0
        ? `nobody at the rendezvous claimed a catalogue in ${timeoutSeconds} s (${links} connected)`
        : `none of ${heard} claims heard at the rendezvous was true and enough`,
    );
  }
}

function claimKey({ infoHashV1, infoHashV2, lengthBytes, count, work }: HeardClaim['claim']): string {
  return [toHex(infoHashV1), toHex(infoHashV2), lengthBytes, count, toHex(work)].join(' ');
}

/** More work first; of equals what more people claim. */
function isBetter(a: HeardClaim, b: HeardClaim): boolean {
  const order = Buffer.compare(a.claim.work, b.claim.work);
  return order > 0 || (order === 0 && a.claimants.size > b.claimants.size);
}

function workOf({ chain }: { chain: { height(): number; workAt(height: number): Uint8Array } }): Uint8Array {
  return chain.workAt(chain.height());
}
