/**
 * One segment's torrent as it is served out of a node's files: how far its bytes are believed, which are gone, and
 * which are damaged and fetched again, into a folder of ours.
 */
import type { SegmentKind } from '../metainfo/segment.js';
import { Store } from '../native.js';
import type { TorrentFault } from '../swarm/link-host.js';
import type { Swarm } from '../swarm/swarm.js';
import type { PeerNode } from './peer-node.js';
import type { Repairs } from './repairs.js';
import type { Report } from './report.js';
import { hasPiece } from './resume.js';
import type { SegmentSource, SegmentTorrent } from './source.js';

/**
 * `hashed`: this run or an earlier one has hashed every piece, and no file was written to since. `assumed`: some pieces
 * are hashed only before their first upload, or by the scrub. `partial`: some pieces are not there.
 */
export type SeedState = 'hashed' | 'assumed' | 'partial';

export interface SegmentSeedOptions {
  readonly index: number;
  readonly kind: SegmentKind;
  readonly torrent: SegmentTorrent;
  /** Hashed a moment ago; else on the word of its files. */
  readonly isHashed: boolean;
  readonly peerNode: PeerNode;
  readonly source: SegmentSource;
  readonly repairs: Repairs;
  readonly report: Report;
  /** A file was cut, or is gone: which of its pieces are still there is for a survey to find. */
  readonly fileFailed: () => void;
}

export class SegmentSeed {
  readonly index: number;
  readonly kind: SegmentKind;
  readonly torrent: SegmentTorrent;
  readonly store: Store;
  /** This run or an earlier one has hashed it: it is this torrent. */
  isOwn: boolean;
  readonly #options: SegmentSeedOptions;
  readonly #swarm: Swarm;
  readonly #closed = new AbortController();
  /** Told as damaged. */
  readonly #damaged = new Set<number>();
  #told = '';

  private constructor(options: SegmentSeedOptions, store: Store) {
    const { index, kind, torrent, peerNode } = options;
    this.#options = options;
    this.index = index;
    this.kind = kind;
    this.torrent = torrent;
    this.isOwn = !torrent.isNamed;
    this.store = store;
    this.#swarm = peerNode.addContent(torrent, store, {
      maxLinks: peerNode.maxConnections,
      // What the node has deleted is not fetched.
      wanted: [],
      toleratesFaults: true,
      events: {
        fault: (fault) => this.#failed(fault),
        piece: (piece) => this.#repaired(piece),
        ioError: (message, piece) => this.#notRepaired(piece, message),
      },
    });
    this.#tell('');
  }

  static async open(options: SegmentSeedOptions): Promise<SegmentSeed> {
    const { torrent, isHashed, repairs } = options;
    const store = Store.overExtents(torrent, torrent.extents);
    if (isHashed) store.setServableAll();
    else await store.survey();
    await repairs.prepare(torrent, store);
    return new SegmentSeed(options, store);
  }

  get state(): SeedState {
    if (this.store.servableCount() < this.torrent.pieceCount) return 'partial';
    return this.store.assumedCount() > 0 ? 'assumed' : 'hashed';
  }

  /** Fires when it is served no more. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  /** Somebody has hashed all of its bytes where they lie, and found its hashes. */
  hashed(): void {
    this.store.setServableAll();
    this.#damaged.clear();
    this.#takeOver('');
  }

  /** Looks which of its bytes are there: files may have gone or been cut, and be right again. Whether pieces came back. */
  async survey(): Promise<boolean> {
    const { came, went } = await this.store.survey();
    if (this.closed.aborted) return false;
    this.#takeOver(went > 0 ? 'bytes of files are gone' : '');
    // The others are as good as any, until they are hashed: their files were written to since.
    const still = this.store.damaged();
    for (const piece of this.#damaged) if (hasPiece(still, piece)) this.#mend(piece);
    return came > 0;
  }

  /** What was only assumed was hashed: pieces that were damaged may be right again. */
  scrubbed(): void {
    const { index, kind, torrent, report } = this.#options;
    const { name } = torrent;
    const [damaged, servable] = [this.store.damaged(), this.store.servable()];
    for (const piece of this.#damaged) {
      if (hasPiece(damaged, piece) || !hasPiece(servable, piece)) continue;
      this.#damaged.delete(piece);
      const text = `piece ${piece} of ${name} is right again where it lies`;
      report.event({ event: 'right-again', segment: index, kind, name, piece }, text);
    }
    this.#tell('');
  }

  close(): void {
    this.#closed.abort();
    this.#swarm.close();
  }

  #failed({ kind, message }: TorrentFault): void {
    // Before anything is looked at: what fails from now on is told again.
    this.store.takeFault();
    const damaged = this.store.damaged();
    for (let piece = 0; piece < this.torrent.pieceCount; piece++) {
      if (hasPiece(damaged, piece) && !this.#damaged.has(piece)) this.#foundDamaged(piece);
    }
    this.#tell(kind === 'damaged' ? '' : message);
    if (kind === 'changed' || kind === 'vanished') this.#options.fileFailed();
  }

  #foundDamaged(piece: number): void {
    const { index, kind, torrent, source, report } = this.#options;
    this.#damaged.add(piece);
    const place = this.store.placeOf(piece);
    const startBytes = piece * torrent.pieceLengthBytes;
    const endBytes = Math.min(torrent.lengthBytes, startBytes + torrent.pieceLengthBytes);
    const heights = source.heightsAt(index, kind, startBytes, endBytes);
    const event = { event: 'damaged', segment: index, kind, name: torrent.name, piece, ...place, ...heights };
    const isMending = this.#mend(piece);
    report.event(
      event,
      `DAMAGED: ${place?.path ?? torrent.name}, at or behind offset ${place?.offsetBytes ?? 0} (blocks ` +
        `${heights.firstHeight} to ${heights.endHeight - 1}): piece ${piece} of ${torrent.name} is not served any more` +
        `${isMending ? '; it is fetched from the swarm' : ''}. Check the disk, and the node.`,
    );
  }

  /** Has a damaged piece fetched, if there may be one more; whether it is. */
  #mend(piece: number): boolean {
    if (!this.#options.repairs.take(this.torrent, piece)) return false;
    this.#swarm.want(piece, piece + 1);
    return true;
  }

  #repaired(piece: number): void {
    if (!this.#damaged.delete(piece)) return;
    const { index, kind, torrent, report } = this.#options;
    const text = `piece ${piece} of ${torrent.name} is repaired, and served from the state folder`;
    report.event({ event: 'repaired', segment: index, kind, name: torrent.name, piece }, text);
    this.#tell('');
  }

  #notRepaired(piece: number, message: string): void {
    const { torrent, repairs, report } = this.#options;
    repairs.giveBack(torrent, piece);
    report.warn(`piece ${piece} of ${torrent.name} cannot be repaired for now: ${message}`);
  }

  #takeOver(reason: string): void {
    this.#swarm.recheck();
    this.#tell(reason);
  }

  /** Says how it stands, when that is news. */
  #tell(reason: string): void {
    const { index, kind, torrent, report } = this.#options;
    const { state, store } = this;
    const servablePieces = store.servableCount();
    // How many pieces are only assumed changes all the time.
    const news = `${state} ${servablePieces}`;
    if (news === this.#told) return;
    const wasPartial = this.#told.startsWith('partial');
    this.#told = news;
    const { name, pieceCount } = torrent;
    const pieces = { pieceCount, servablePieces, assumedPieces: store.assumedCount() };
    const event = { event: 'segment-state', segment: index, kind, name, state, ...pieces };
    let text = reason && `${name}: ${servablePieces} of ${pieceCount} pieces are served: ${reason}`;
    if (wasPartial && state !== 'partial') text = `${name}: all ${pieceCount} pieces are served again`;
    report.event(event, text);
  }
}
