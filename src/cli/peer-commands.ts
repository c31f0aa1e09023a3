/** The commands that fetch and seed, and their options. */
import type { Command } from 'commander';
import { wholeNumber } from './options.js';
import type { AddCommand } from './program.js';

/** A timer of Node's cannot run longer than 2^31 ms. */
export const maxTimeoutSeconds = 2_147_483;

const getText = `
A .torrent file, a magnet link, or an infohash of 40 (v1) or 64 (v2) hex
digits. The torrent's file or folder comes into --out; what is there already
is hashed and kept, and a run that was ended, however, goes on where it was.
It ends with 0 when every piece is checked and on the medium.`;

/** `peers`: gives a command the options of whoever meets peers. */
export function addPeerCommands(
  program: Command,
  add: AddCommand,
  peers: (command: Command) => Command,
): void {
  add(
    peers(
      program
        .command('get')
        .description('fetch a torrent')
        .argument('<torrent|magnet|infohash>')
        .requiredOption('--out <dir>', 'the folder that it comes into')
        .option('--listen <host:port>', 'where to listen for peers and the DHT', '0.0.0.0:0')
        .option(
          '--timeout <seconds>',
          'give up after this long without a new piece',
          wholeNumber(1, maxTimeoutSeconds),
          1800,
        )
        .option('--check', 'hash all that is on disk, also what was recorded as right')
        .option('--seed', 'serve peers after the end, until stopped')
        .addHelpText('after', getText),
    ),
    async () => (await import('./get-command.js')).getCommand,
  );
}
