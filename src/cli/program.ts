/** The command tree: argv in, text out, exit code. */
import { Command, CommanderError, Option } from 'commander';
import { BlockswarmError, type ErrorCode, exitCode } from '../errors.js';
import { addCoinSetCommands, threadsOption } from './coin-set-commands.js';
import type { Env } from './env.js';
import { levelSet, wholeNumber } from './options.js';
import { Output, type OutputOptions, toJson } from './output.js';
import {
  addPeerCommands,
  catalogueOption,
  hintOptions,
  listenText,
  maxTimeoutSeconds,
  peerOptions,
} from './peer-commands.js';
import { printable } from './printable.js';
import { addTorrentCommands } from './torrent-commands.js';
import { addValidateCommand } from './validate-options.js';
import { version } from './version.js';

const exitCodesText = `
Exit codes: 0 done, 1 error, 2 usage, 3 configuration, 4 network or time-out, 5 data invalid, 6 disk full,
7 interrupted but resumable, 8 state folder or data directory in use.`;

const maxMebibytes = 999_999_999;

/** Runs one command; returns its exit code. */
export async function run(env: Env): Promise<number> {
  const outcome: Outcome = { exitCode: 0 };
  const program = buildProgram(env, outcome);
  try {
    await program.parseAsync(env.args, { from: 'user' });
    return outcome.exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) return report(env, error);
    if (error.exitCode === 0) return 0;
    // Commander has told the person already.
    const help = error.code === 'commander.help';
    reportJson(env, 'ERR_USAGE', help ? 'no command given' : error.message.replace(/^error: /, ''));
    return exitCode('ERR_USAGE');
  }
}

function reportJson({ args, out }: Env, code: ErrorCode, message: string): void {
  const error = { code, message };
  if (args.includes('--json-lines')) out(`${toJson({ event: 'error', error })}\n`);
  else if (args.includes('--json')) out(`${toJson({ error })}\n`);
}

/** Says what went wrong: a line for a person, or an object when JSON was asked for. */
function report(env: Env, error: unknown): number {
  const failure = coded(env, error);
  const code = failure instanceof BlockswarmError ? failure.code : 'ERR_NATIVE';
  const message = failure instanceof Error ? failure.message : String(failure);
  reportJson(env, code, message);
  env.err(`blockswarm: ${printable(message)} [${code}]\n`);
  if (!(failure instanceof BlockswarmError) && failure instanceof Error) env.err(`${failure.stack}\n`);
  return failure instanceof BlockswarmError ? exitCode(failure.code) : 1;
}

/** The error with one of our codes, when it is an interruption or the system's refusal of a file. */
function coded({ signal }: Env, error: unknown): unknown {
  if (error instanceof BlockswarmError) return error;
  if (signal.aborted) {
    const message = 'interrupted; what was done is kept, run the same command to go on';
    return new BlockswarmError('ERR_INTERRUPTED', message, { cause: error });
  }
  if (!(error instanceof Error && 'syscall' in error && 'code' in error)) return error;
  const full = error.code === 'ENOSPC' || error.code === 'EDQUOT';
  return new BlockswarmError(full ? 'ERR_DISK_FULL' : 'ERR_IO', error.message, { cause: error });
}

/** The whole command tree. */
function buildProgram(env: Env, outcome: Outcome): Command {
  const program = new Command('blockswarm')
    .description("Bitcoin's block history carried over BitTorrent.")
    .version(version())
    .addHelpText('after', exitCodesText);
  configure(program, env);
  const add: AddCommand = (command, load) => addCommand({ env, outcome }, command, load);

  const source = (command: Command) =>
    command
      .requiredOption('--datadir <dir>', "a node's data directory: what `bitcoind -datadir` takes")
      .option('--blocks <dir>', 'where blk*.dat and rev*.dat lie, when not below the data directory')
      .addOption(networkOption());
  const chain = (command: Command) =>
    command
      .option('--datadir <dir>', "a node's data directory: what `bitcoind -datadir` takes")
      .option('--blocks <dir>', 'where blk*.dat and rev*.dat lie, when not below the data directory')
      .option('--segments <dir>', 'or a folder of segment files, as `export --to` writes them')
      .addOption(networkOption())
      .addOption(threadsOption())
      .addOption(stateDirOption());
  const peers = (command: Command) => peerOptions(command).addOption(stateDirOption());

  add(
    source(
      program
        .command('segments')
        .description('list the sealed segments of a data directory and their torrents'),
    ).addOption(stateDirOption()),
    async () => (await import('./segments-command.js')).segmentsCommand,
  );

  add(
    source(
      program
        .command('export')
        .description(
          'write segments as files of their own, or all blocks in one file for `bitcoind -loadblock`',
        ),
    )
      .option('--to <dir>', 'a folder for the segment files, blocks and spent outputs; what is there is kept')
      .option('--first-segment <k>', 'with --to: from this segment on (default: 0)', wholeNumber(0, 99_999))
      .option(
        '--last-segment <k>',
        'with --to: up to this segment, itself included (default: the last sealed one)',
        wholeNumber(0, 99_999),
      )
      .option('--bootstrap <file>', 'one file with all blocks up to the tip, or - for stdout')
      .option('--force', 'with --bootstrap: replace a file that is there')
      .addOption(stateDirOption()),
    async () => (await import('./export-command.js')).exportCommand,
  );

  add(
    source(
      program
        .command('doctor')
        .description('tell what is wrong with a data directory, and the shortest ways out'),
    ).addOption(stateDirOption()),
    async () => (await import('./doctor-command.js')).doctorCommand,
  );

  addValidateCommand(program, add, peers, networkOption);

  const catalogue = program
    .command('catalogue')
    .description('make or show a catalogue: all torrents and headers of a chain');
  add(
    source(catalogue.command('make').description('make the catalogue of a data directory'))
      .requiredOption('--out <file>', 'the file to write')
      .option('--segments <n>', 'for the first n segments only', wholeNumber(1, 99_999))
      .addOption(stateDirOption()),
    async () => (await import('./catalogue-command.js')).catalogueMakeCommand,
  );
  add(
    catalogue
      .command('show')
      .description('check a catalogue and show what is in it')
      .argument('<file>')
      .addOption(networkOption())
      .option('--min-chain-work <hex>', "the least total work of its headers (default: the network's)"),
    async () => (await import('./catalogue-command.js')).catalogueShowCommand,
  );

  add(
    catalogue
      .command('keygen')
      .description('make the key of somebody who publishes catalogues, in a new file')
      .argument('<file>'),
    async () => (await import('./publish-command.js')).keygenCommand,
  );
  add(
    hintOptions(peers(source(catalogue.command('publish'))))
      .description('seed a data directory, and say in the DHT, under a key, which catalogue is its newest')
      .requiredOption('--key <file>', 'the key: `catalogue keygen` makes one')
      .option('--listen <host:port>', listenText),
    async () => (await import('./publish-command.js')).publishCommand,
  );

  addCoinSetCommands(program, add, chain);

  const seal = program.command('seal').description('what becomes of new segments');
  add(
    seal
      .command('resume')
      .description('let sealing go on, also of a running seed, after a deep reorganisation has paused it')
      .requiredOption('--datadir <dir>', 'the data directory that is seeded')
      .addOption(networkOption())
      .addOption(stateDirOption()),
    async () => (await import('./seal-command.js')).sealResumeCommand,
  );

  addTorrentCommands(program.command('torrent').description('make, show and check torrents'), add);

  addPeerCommands(program, add, peers, networkOption);

  add(
    peers(
      program
        .command('bootstrap')
        .description('fetch the chain, prove it, and leave a data directory that Bitcoin Core opens')
        .requiredOption('--datadir <dir>', 'the data directory to make')
        .addOption(networkOption())
        .addOption(catalogueOption())
        .option('--min-chain-work <hex>', "the least total work of the headers (default: the network's)")
        .option(
          '--scratch <dir>',
          'where pieces wait for the engine (default: inside the new data directory)',
        )
        .option('--listen <host:port>', listenText)
        .option(
          '--timeout <seconds>',
          'give up after this long without a new piece',
          wholeNumber(1, maxTimeoutSeconds),
          1800,
        )
        .option(
          '--scratch-size <MiB>',
          'let at most this much wait on disk for the engine',
          wholeNumber(0, maxMebibytes),
          16_384,
        )
        .option(
          '--prove <levels>',
          'chain,scripts: judge every script here as well, while segments arrive and on all cores; fetches what blocks spend',
          levelSet,
        )
        .option(
          '--checkpoint <MiB>',
          'flush the engine after this much: as much is fed again after a kill',
          wholeNumber(0, maxMebibytes),
          2048,
        )
        .option('--stay', 'serve peers after the end, until stopped'),
    ),
    async () => (await import('./bootstrap-command.js')).bootstrapCommand,
  );

  const catalogueClient = (command: Command) =>
    peers(command)
      .addOption(networkOption())
      .addOption(catalogueOption())
      .option('--min-chain-work <hex>', "the least total work of the headers (default: the network's)")
      .option('--listen <host:port>', listenText)
      .option('--timeout <seconds>', 'give up after this long', wholeNumber(1, maxTimeoutSeconds), 1800)
      .option('--watch <seconds>', 'look at each torrent for at most this long', wholeNumber(1, 3600), 10);
  add(
    catalogueClient(
      program
        .command('swarm-health')
        .description('show how well each segment is seeded, and which are in danger'),
    ),
    async () => (await import('./swarm-commands.js')).swarmHealthCommand,
  );
  add(
    catalogueClient(
      program
        .command('adopt')
        .description('fetch the rarest segments within a disk budget, and seed them until stopped')
        .argument('<size>', 'for example 500GiB')
        .requiredOption('--out <dir>', 'where to keep them'),
    ),
    async () => (await import('./swarm-commands.js')).adoptCommand,
  );

  add(
    program
      .command('demo')
      .description('the whole path on embedded mainnet blocks: seed a data directory, bootstrap a second one')
      .addOption(stateDirOption()),
    async () => (await import('./demo-command.js')).demoCommand,
  );
  return program;
}

/** How a command ended that did end. */
interface Outcome {
  exitCode: number;
}

export interface CommandContext<Options> {
  readonly env: Env;
  readonly output: Output;
  readonly options: Options;
  readonly args: readonly string[];
  /** The options that stand on the command line: flag by name. */
  readonly given: ReadonlyMap<string, string>;
  /** Set its exit code when its result is that something is not as it should be. */
  readonly outcome: Outcome;
}

type Action<Options> = (context: CommandContext<Options & OutputOptions>) => Promise<void>;

/**
 * Gives a command the options every command has, and its action: loaded when it is called, so that no command waits for
 * what the others need.
 */
export type AddCommand = <Options>(command: Command, load: () => Promise<Action<Options>>) => void;

function addCommand<Options>(
  { env, outcome }: { env: Env; outcome: Outcome },
  command: Command,
  load: () => Promise<Action<Options>>,
): void {
  configure(command, env);
  command
    .option('--json', 'one JSON object on stdout at the end, no progress')
    .option('--json-lines', 'a stream of JSON objects on stdout')
    .option('-q, --quiet', 'no progress and no remarks')
    .action(async () => {
      // Commander knows the options by name only; each command says what it declared.
      const options = command.opts() as Options & OutputOptions;
      const output = new Output(env, options);
      try {
        const action = await load();
        // An addon that is missing is said by the first command that needs it.
        const native = await import('../native.js').catch(() => null);
        const slow = native?.hashingWarning();
        if (slow) output.warn(slow);
        await action({ env, output, options, args: command.args, given: givenOptions(command), outcome });
      } finally {
        output.progress.clear();
      }
    });
}

function givenOptions(command: Command): Map<string, string> {
  const given = command.options.filter(
    (option) => command.getOptionValueSource(option.attributeName()) === 'cli',
  );
  return new Map(given.map((option) => [option.attributeName(), option.long ?? option.flags]));
}

function configure(command: Command, env: Env): void {
  command
    .exitOverride()
    .configureOutput({ writeOut: env.out, writeErr: env.err })
    .showSuggestionAfterError(true)
    .showHelpAfterError('(--help shows the options)');
}

function stateDirOption(): Option {
  return new Option(
    '--state-dir <dir>',
    'where locks and the like live (default: $XDG_STATE_HOME/blockswarm)',
  );
}

function networkOption(): Option {
  return new Option('--network <name>', 'mainnet, testnet3, testnet4, signet or regtest').default('mainnet');
}
