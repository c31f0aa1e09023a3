/** Whether a blocks file holds what the headers commit to: the level `chain`. */
import { segmentHeights } from '../chain/segment.js';
import { BlockswarmError } from '../errors.js';
import type { Metainfo } from '../metainfo/metainfo.js';
import { BlocksJudge, type HeaderChain, type JudgeReport, type Network, type Store } from '../native.js';

export interface SegmentChain {
  readonly network: Network;
  readonly chain: HeaderChain;
  readonly index: number;
}

/** Judges the blocks of a segment as pieces of its file come. */
export function segmentJudge(store: Store, { network, chain, index }: SegmentChain): BlocksJudge {
  const { firstHeight, endHeight } = segmentHeights(index, network.interval);
  return new BlocksJudge(store, chain, network.name, firstHeight, endHeight);
}

/** Judges a file that is had whole. Null when every block is proven. @throws `signal.reason` when aborted */
export async function judgeWhole(
  store: Store,
  { name, pieceCount }: Pick<Metainfo, 'name' | 'pieceCount'>,
  segment: SegmentChain,
  signal: AbortSignal,
): Promise<BlockswarmError | null> {
  const judge = segmentJudge(store, segment);
  for (let piece = 0; piece < pieceCount; piece++) await judge.pieceArrived(piece, signal);
  const { fault, complete } = judge.report();
  if (complete) return null;
  // A piece that is gone from the disk meanwhile is none that was judged.
  return fault
    ? badTorrent(name, fault)
    : new BlockswarmError('ERR_TORRENT_BAD', `${name}: not all of its blocks could be judged`);
}

/** The pieces agree with the torrent, so no peer lied: the torrent is not what the headers commit to. */
export function badTorrent(
  name: string,
  { height, offsetBytes, reason }: NonNullable<JudgeReport['fault']>,
): BlockswarmError {
  return new BlockswarmError(
    'ERR_TORRENT_BAD',
    `${name}: the block at height ${height} (offset ${offsetBytes}) is not the chain's: ${reason}. ` +
      'The catalogue that named this torrent is bad; the chain is not. Use another catalogue.',
  );
}
