/** The options of `validate`. */
import type { Command, Option } from 'commander';
import { levelSet, wholeNumber } from './options.js';
import { catalogueOption, listenText, maxTimeoutSeconds } from './peer-commands.js';
import type { AddCommand } from './program.js';

const validateText = `
One of:
  validate --datadir DIR     the blocks of a Bitcoin node; it may run meanwhile
  validate --segments DIR    segment files, as \`export --to\` writes them; with
                             --catalogue FILE against its headers
  validate --catalogue SRC   nothing is here: segments come from the swarm, in any
                             order, and are judged and let go as they come. --peer
                             and the other options for peers, --listen, --timeout,
                             --scratch, --scratch-size and --min-chain-work are for
                             this. For set it takes --hints or --snapshot
A run that was ended, however, goes on where it was. Exit code 5: not valid.`;

/** `validate`; `peers` gives it the options of whoever meets peers. */
export function addValidateCommand(
  program: Command,
  add: AddCommand,
  peers: (command: Command) => Command,
  networkOption: () => Option,
): void {
  const command = program
    .command('validate')
    .description('prove a chain: every block by every rule, on all cores, in any order')
    .option('--datadir <dir>', "a node's data directory: what `bitcoind -datadir` takes")
    .option('--blocks <dir>', 'where blk*.dat and rev*.dat lie, when not below the data directory')
    .option('--segments <dir>', 'or a folder of segment files, blocks and spent outputs')
    .addOption(catalogueOption('; with --segments a file, whose headers theirs must be'))
    .addOption(networkOption())
    .option(
      '--prove <levels>',
      'some of chain,scripts,set (default: chain,scripts, and set with --hints or --snapshot)',
      levelSet,
    )
    .option('--from <height>', 'the first block (default: 0)', wholeNumber(0, 99_999_999))
    .option('--to <height>', 'the last block (default: the last that is held)', wholeNumber(0, 99_999_999))
    .option(
      '--hints <file>',
      'for set: which outputs survive the last block (default, over a chain that is here: found in a pass before)',
    )
    .option('--snapshot <file>', "for set: the coins after the last block, Core's `dumptxoutset`")
    .option(
      '--sums <file>',
      'for set: names the segments that differ from it when it is not proven; `sums make` makes it',
    )
    .option('--from-snapshot <file>', 'for set with --from: the coins before the first block')
    .option('--threads <n>', 'threads that judge (default: one a core)', wholeNumber(1, 256))
    .option('--min-chain-work <hex>', "the least total work of the headers (default: the network's)")
    .option('--scratch <dir>', 'where segments wait to be judged (default: the state folder)')
    .option(
      '--scratch-size <MiB>',
      'let at most this much wait there, or one segment',
      wholeNumber(0, 999_999_999),
      16_384,
    )
    .option('--listen <host:port>', listenText)
    .option(
      '--timeout <seconds>',
      'give up after this long without a new piece',
      wholeNumber(1, maxTimeoutSeconds),
      1800,
    );
  add(
    peers(command).addHelpText('after', validateText),
    async () => (await import('./validate-command.js')).validateCommand,
  );
}
