/**
 * The door to the native addon, which nobody but `src/native/` imports. `src/native/task.ts` says how it is called: errors,
 * threads, and who owns bytes.
 */
export { BlockArchive } from './native/block-archive.js';
export { BlocksJudge, type DecodedBlock, decodeBlock, type JudgeReport } from './native/blocks.js';
export { ChainRecords } from './native/chain-records.js';
export {
  type CoinCulprit,
  type CoinSetOptions,
  type CoinTotals,
  type CoreSnapshot,
  coreSnapshots,
  type MadeHints,
  type MadeSnapshot,
  type ReadSnapshot,
  readSnapshot,
} from './native/coins.js';
export { type ByteRange, Datadir, scanDatadir } from './native/datadir.js';
export { Engine, type EngineFed, type EngineTip } from './native/engine.js';
export {
  type ExtentsHandle,
  fileExtents,
  type HashedFile,
  hashExtents,
  type TorrentHashes,
} from './native/extents.js';
export { HashPace, hashingWarning } from './native/hashing.js';
export { HeaderChain, type HeaderFault, type Network, networkParams } from './native/headers.js';
export type { HttpAnswer, HttpGetOptions, HttpReach, HttpResult } from './native/http.js';
export { type KeptFile, KeptFiles, type KeptRound } from './native/kept-files.js';
export { type FileLock, lockFile } from './native/lock.js';
export {
  type Batch,
  type GroupDatagram,
  type MappingAnswer,
  type MappingRequest,
  type MulticastGroup,
  Reactor,
  type ReactorOptions,
  type ReactorStats,
} from './native/reactor.js';
export { ResumeDb, type Resumed } from './native/resume-db.js';
export { SegmentFiles } from './native/segment-files.js';
export { type FolderOptions, Store, type StoreHashes } from './native/store.js';
export {
  type CheckedTorrent,
  type ContentFile,
  type ContentHashes,
  checkTorrent,
  type DamagedRange,
  type FileFault,
  type HashTorrentOptions,
  hashTorrent,
  type TorrentLayout,
} from './native/torrent-files.js';
export { type RewrittenUndo, undoAge } from './native/undo.js';
export {
  ArrivingValidation,
  type SegmentPaths,
  type ValidationCounts,
  type ValidationFailure,
  type ValidationOptions,
  type ValidationPlan,
  type ValidationVerdict,
  validateSegments,
} from './native/validation.js';
