/** The commands below `blockswarm torrent` and their options. */
import type { Command } from 'commander';
import { BlockswarmError } from '../errors.js';
import { collect, wholeNumber } from './options.js';
import type { AddCommand } from './program.js';

const makeText = `
Symlinks are kept as links when they lead to something in the torrent, and left out otherwise. A glob is held
against the last name of a path or, when it has a slash (also in front), against the path below the torrent's
folder; * stops at a slash, ** does not. The torrent appears when it is whole; a file that changes while it is
hashed makes none.`;

const verifyText = `
PATH is the torrent's file or folder, or the folder that holds it. Damage is told by file and byte range: v1 and
v2 to the piece, clipped to the file. A torrent holds no hashes below its pieces, so that is the 16 KiB leaf where
pieces are 16 KiB; what a file lacks at its end is told to the byte. Exit code 5 when anything is not as it should be.`;

const uncachedText = 'leave the page cache as it was: what reading brings into memory leaves it again';

export function addTorrentCommands(torrent: Command, add: AddCommand): void {
  add(
    torrent
      .command('make')
      .description('make a torrent of files and folders')
      .argument('<path...>')
      .option('--v1', 'for clients of BEP 3 only')
      .option('--v2', 'for clients of BEP 52 only')
      .option('--hybrid', 'for both (default)')
      .option('--piece-length <size>', 'auto, or bytes; KiB and MiB may follow', pieceLength, 'auto')
      .option('--name <name>', "the torrent's name (default: the file's or folder's)")
      .option('--tracker <url>', 'may be given often: each is a tier; a comma joins equals', collect)
      .option('--web-seed <url>', 'an HTTP server with the content; may be given often', collect)
      .option('--private', 'peers come from the trackers only (BEP 27)')
      .option('--source <text>', 'changes the infohash, as private trackers ask for')
      .option('--comment <text>')
      .option('--no-date', 'do not say when it was made')
      .option('--out <file>', 'the file to write (default: NAME.torrent in the working folder)')
      .option('--force', 'replace the file that is there')
      .option('--include <glob>', 'take only files that match; may be given often', collect)
      .option('--exclude <glob>', 'leave out files and folders that match; may be given often', collect)
      .option('--follow-symlinks', 'take what symlinks lead to in their place')
      .option('--dry-run', 'only say what would be made')
      .option('--threads <n>', 'threads that hash (default: one a core)', wholeNumber(1, 1024))
      .option('--uncached', uncachedText)
      .addHelpText('after', makeText),
    async () => (await import('./torrent-make-command.js')).torrentMakeCommand,
  );
  add(
    torrent.command('show').description('show a .torrent file or magnet link').argument('<file|magnet>'),
    async () => (await import('./torrent-show-command.js')).torrentShowCommand,
  );
  add(
    torrent
      .command('verify')
      .description('hold files against a torrent; name what is damaged')
      .argument('<torrent>')
      .argument('<path>')
      .option('--threads <n>', 'threads that hash (default: one a core)', wholeNumber(1, 1024))
      .option('--uncached', uncachedText)
      .addHelpText('after', verifyText),
    async () => (await import('./torrent-verify-command.js')).torrentVerifyCommand,
  );
}

const units: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20 };

/** `auto`, `262144`, `256KiB`, `256 K`, `4MiB`. */
function pieceLength(text: string): number | 'auto' {
  if (text === 'auto') return text;
  const [, digits, unit = ''] = /^(\d{1,9}) ?(?:([km])(?:i?b)?)?$/i.exec(text) ?? [];
  if (digits !== undefined) return Number(digits) * (units[unit.toLowerCase()] ?? 1);
  throw new BlockswarmError('ERR_USAGE', `expected \`auto\` or a size such as 256KiB, got \`${text}\``);
}
