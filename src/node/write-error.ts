/** What it means for a job that a verified piece could not be kept. */
import { BlockswarmError } from '../errors.js';

/** `message` is the native core's, with the system's words in it. Codes: ERR_TORRENT_BAD, ERR_DISK_FULL, ERR_IO. */
export function pieceWriteError(name: string, message: string): BlockswarmError {
  // Nobody's disk and no peer is at fault: the torrent cannot be completed as both of its halves say.
  if (/contradict/.test(message)) return new BlockswarmError('ERR_TORRENT_BAD', `${name}: ${message}`);
  if (!/ENOSPC|no space left|StorageFull/i.test(message)) {
    return new BlockswarmError('ERR_IO', `${name}: ${message}`);
  }
  const advice = 'Make room and run the same command again: it resumes.';
  return new BlockswarmError('ERR_DISK_FULL', `${name}: the disk is full: ${message}. ${advice}`);
}
