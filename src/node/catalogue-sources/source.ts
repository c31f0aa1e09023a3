/** What a place that catalogues come from is given, and gives. */
import type { CatalogueReader } from '../../chain/catalogue.js';
import type { Claim } from '../../chain/claim.js';
import type { PeerAddress } from '../../connector.js';
import type { Network } from '../../native.js';
import type { BadCatalogues } from '../bad-catalogues.js';
import type { FetchedCatalogue } from '../catalogue-fetch.js';
import type { PeerNode } from '../peer-node.js';
import type { Report } from '../report.js';

/** A catalogue whose every record follows the rules. */
export interface FoundCatalogue {
  readonly reader: CatalogueReader;
  /** The source, as the user names it. */
  readonly from: string;
  /** How many independent voices named it: of equals the most named one is taken. */
  readonly voices: number;
  /** The torrent that carries it and the file, where it came from peers. */
  readonly fetched: FetchedCatalogue | null;
}

/** How one catalogue is asked of peers. */
export interface FetchWish {
  /** 40 or 64 hex digits. */
  readonly infoHash: string;
  readonly claim?: Claim;
  readonly peers?: readonly PeerAddress[];
  readonly timeoutSeconds: number;
}

/** The search that sources work for. */
export interface CatalogueSearch {
  readonly network: Network;
  /** The least work that counts, 32 bytes big-endian. */
  readonly floor: Uint8Array;
  readonly peerNode: PeerNode;
  readonly bad: BadCatalogues;
  readonly report: Report;
  /** How long one that waits for a single place is to wait. */
  readonly timeoutSeconds: number;
  /** The best so far; null while there is none. */
  readonly best: FoundCatalogue | null;
  /** Fetches from peers; what several sources name is fetched once. Errors as `fetchCatalogue`. */
  fetch(wish: FetchWish, signal: AbortSignal): Promise<FetchedCatalogue>;
  /** Hands over a catalogue. @throws BlockswarmError ERR_CHAIN_WORK, ERR_CATALOGUE when it does not count */
  offer(found: FoundCatalogue): void;
}

export interface CatalogueSource {
  /** As the user names it. */
  readonly name: string;
  /** Offers what it finds; returns when there is no more. @throws what kept it from finding anything */
  find(search: CatalogueSearch, signal: AbortSignal): Promise<void>;
}
