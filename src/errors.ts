/**
 * The one error class of blockswarm and the documented list of its codes.
 *
 * Errors are for what the caller cannot go on with. A hash mismatch, an invalid block or a dead peer is a
 * *result* and is returned; wrong arguments are `TypeError` or `RangeError`.
 */

/** Every error code with its meaning. The native core uses the same codes. */
export const ERROR_CODES = {
  ERR_BENCODE: 'bytes are not canonical bencoding, or go over a limit',
  ERR_METAINFO: 'a torrent (.torrent, info dictionary or magnet link) is malformed or contradicts itself',
  ERR_CATALOGUE: 'a catalogue is malformed or does not follow its rule',
  ERR_HEADERS: 'block headers break a consensus rule',
  ERR_HINTS: 'hints of which outputs survive are malformed, or of other blocks',
  ERR_SNAPSHOT: 'a UTXO snapshot is malformed, or of another block',
  ERR_CHAIN_WORK: 'the header chain has less work than the floor asks for',
  ERR_DATADIR_EMPTY: 'the folder holds no block files of the network',
  ERR_DATADIR_UNREADABLE: 'a file of the data directory cannot be read',
  ERR_NETWORK_MISMATCH: 'the data belongs to another network than the one asked for',
  ERR_NETWORK_UNKNOWN: 'the network name is not known',
  ERR_XOR_KEY: 'blocks/xor.dat is not an 8-byte key',
  ERR_SEGMENT_RANGE: 'the segment or height is outside what is held here',
  ERR_SPENT_MISSING: 'undo data (rev*.dat) of the segment is missing or incomplete',
  ERR_UNDO_OLD: 'undo data of the segment was written by Core before 0.15 and lacks heights',
  ERR_BLOCK_DAMAGED: 'a block in a block file is not what its header commits to',
  ERR_BLOCK_PRUNED: 'the node has deleted the block file that the block was in',
  ERR_NOT_SEALED: 'the segment has too few blocks on top to become a torrent',
  ERR_PORT_IN_USE: 'the port to listen on is taken',
  ERR_ADDRESS: 'an address is malformed or its name cannot be resolved',
  ERR_LISTEN: 'listening on the address failed',
  ERR_PRIVACY: 'the privacy mode does not allow it, or cannot be set up',
  ERR_STATE_LOCKED: 'another blockswarm process uses this state folder',
  ERR_DATADIR_LOCKED: 'a node or another process uses this data directory',
  ERR_DATADIR_FOREIGN: 'the data directory was not made by us and is never written to',
  ERR_DISK_FULL: 'no space is left on the disk',
  ERR_IO: 'reading or writing a file failed',
  ERR_SUMS: 'a file of sums over segments is malformed, or of another network',
  ERR_COINS: 'the coins that blocks create and spend do not add up',
  ERR_ENGINE: "Core's validation engine failed",
  ERR_BLOCK_INVALID: 'a block that the proof-of-work chain commits to is invalid',
  ERR_TORRENT_BAD: "a torrent's content is not what the chain says it must be",
  ERR_NO_PEERS: 'no peer could be found or reached',
  ERR_TIMEOUT: 'something did not happen within its time limit',
  ERR_INTERRUPTED: 'stopped before the end; what was done is kept and can be resumed',
  ERR_NATIVE_MISSING: 'the native addon is missing for this platform',
  ERR_NATIVE: 'the native core failed unexpectedly',
  ERR_USAGE: 'the command line is wrong',
  ERR_CONFIG: 'a setting is wrong',
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** An error with a documented code; `cause` keeps what led to it. */
export class BlockswarmError extends Error {
  override readonly name = 'BlockswarmError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** That the command line is wrong: `message` says what was expected. */
export function usage(message: string): BlockswarmError {
  return new BlockswarmError('ERR_USAGE', message);
}

/** Whether a text is one of our codes: narrows what crosses from native code. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERROR_CODES, text);
}

const EXIT_CODES: { readonly [code in ErrorCode]?: number } = {
  ERR_USAGE: 2,
  ERR_ADDRESS: 2,
  ERR_CONFIG: 3,
  ERR_NETWORK_UNKNOWN: 3,
  ERR_NETWORK_MISMATCH: 3,
  ERR_DATADIR_EMPTY: 3,
  ERR_DATADIR_FOREIGN: 3,
  ERR_PORT_IN_USE: 4,
  ERR_LISTEN: 4,
  ERR_PRIVACY: 4,
  ERR_NO_PEERS: 4,
  ERR_TIMEOUT: 4,
  ERR_BENCODE: 5,
  ERR_METAINFO: 5,
  ERR_CATALOGUE: 5,
  ERR_HEADERS: 5,
  ERR_CHAIN_WORK: 5,
  ERR_HINTS: 5,
  ERR_SNAPSHOT: 5,
  ERR_XOR_KEY: 5,
  ERR_BLOCK_DAMAGED: 5,
  ERR_BLOCK_INVALID: 5,
  ERR_TORRENT_BAD: 5,
  ERR_SUMS: 5,
  ERR_COINS: 5,
  ERR_DISK_FULL: 6,
  ERR_INTERRUPTED: 7,
  ERR_STATE_LOCKED: 8,
  ERR_DATADIR_LOCKED: 8,
};

/**
 * The process exit code for an error code: 1 error, 2 usage, 3 config, 4 network or timeout, 5 data invalid,
 * 6 disk full, 7 interrupted but resumable, 8 state or data directory locked. 0 is success and no error has it.
 */
export function exitCode(code: ErrorCode): number {
  return EXIT_CODES[code] ?? 1;
}
