/** `blockswarm hints make`, `sums make`, `snapshot make` and `snapshot verify`. */
import { type Command, Option } from 'commander';
import { wholeNumber } from './options.js';
import type { AddCommand } from './program.js';

const MAX_HEIGHT = 99_999_999;
const MAX_THREADS = 256;

/** Adds the commands about the coins that a chain leaves; `chain` adds the options that say where the chain is. */
export function addCoinSetCommands(
  program: Command,
  add: AddCommand,
  chain: (command: Command) => Command,
): void {
  const hints = program.command('hints').description('which outputs of a chain are still unspent');
  add(
    chain(
      hints
        .command('make')
        .description(
          'write which outputs survive, for `validate --prove set`; what does not add up is named (exit code 5)',
        ),
    )
      .requiredOption('--out <file>', 'the file to write, or a folder for a file named after its segments')
      .option(
        '--to <height>',
        'up to this block, itself included (default: the last one of the sealed segments)',
        wholeNumber(0, MAX_HEIGHT),
      )
      .option('--snapshot <file>', 'take them from a UTXO snapshot of that block; needs no undo data'),
    async () => (await import('./hints-command.js')).hintsMakeCommand,
  );

  const sums = program.command('sums').description('what each segment creates and spends, as products');
  add(
    chain(
      sums
        .command('make')
        .description(
          'write what each segment creates and spends: `validate --sums` names the one that differs',
        ),
    )
      .requiredOption('--out <file>', 'the file to write, or a folder for a file named after its segments')
      .option(
        '--last-segment <k>',
        'up to this segment, itself included (default: the last sealed one)',
        wholeNumber(0, 99_999),
      ),
    async () => (await import('./sums-command.js')).sumsMakeCommand,
  );

  const snapshot = program
    .command('snapshot')
    .description("UTXO snapshots: the coins that a chain leaves, as Core's `dumptxoutset` writes them");
  add(
    chain(snapshot.command('make').description('write the coins that the chain leaves at a height'))
      .requiredOption('--out <file>', 'the file to write, or a folder for a file named after the height')
      .requiredOption('--to <height>', 'after this block', wholeNumber(0, MAX_HEIGHT))
      .option('--hints <file>', 'take which outputs survive from a hints file, which is believed'),
    async () => (await import('./snapshot-commands.js')).snapshotMakeCommand,
  );
  add(
    chain(
      snapshot
        .command('verify')
        .description(
          'check a snapshot: its form, whether Core knows its hash, and, with a chain, each coin (exit code 5 when wrong)',
        )
        .argument('<file>'),
    ),
    async () => (await import('./snapshot-commands.js')).snapshotVerifyCommand,
  );
}

/** How many threads read and check blocks. */
export function threadsOption(): Option {
  return new Option('--threads <n>', 'threads that read blocks (default: one for each core)').argParser(
    wholeNumber(1, MAX_THREADS),
  );
}
