/**
 * `blockswarm seed`: serves a data directory until it is stopped; or torrents (torrent-seed-command.ts), or the chain from
 * other files (archive-seed-command.ts).
 */
import { usage } from '../errors.js';
import { publishCatalogue, publishingDht } from '../node/publish.js';
import { readPublisherKey } from '../node/publisher-key.js';
import { Seeder, type SeedOptions } from '../node/seed.js';
import { formatBytes, toHex } from '../units.js';
import { type ArchiveSeedCommandOptions, archiveSeedCommand } from './archive-seed-command.js';
import { stateDir, stopped } from './env.js';
import { jobReport } from './job-report.js';
import type { OutputOptions } from './output.js';
import type { CommandContext } from './program.js';
import { seeding } from './seeding.js';
import { type TorrentSeedCommandOptions, torrentSeedCommand } from './torrent-seed-command.js';

type DatadirOptions = Omit<SeedOptions, 'stateDir'> &
  OutputOptions & {
    readonly stateDir?: string;
    /** The file of a key. */
    readonly publish?: string;
  };
type Options = Omit<DatadirOptions, 'datadir'> &
  TorrentSeedCommandOptions &
  ArchiveSeedCommandOptions & {
    readonly datadir?: string;
    readonly segments?: string;
    readonly btcd?: string;
    readonly bootstrap?: string;
  };

const datadirOnly = [
  'blocks',
  'hashRate',
  'hashThreads',
  'keep',
  'repair',
  'publish',
  'rpc',
  'rest',
  'zmq',
  'rewriteUndo',
] as const satisfies readonly (keyof Options)[];

export async function seedCommand(context: CommandContext<Options>): Promise<void> {
  const { args, options } = context;
  const { datadir, torrents, content, segments, btcd, bootstrap } = options;
  const archives = [
    { kind: 'segments', path: segments },
    { kind: 'btcd', path: btcd },
    { kind: 'bootstrap', path: bootstrap },
  ] as const;
  const [archive] = archives.flatMap(({ kind, path }) => (path === undefined ? [] : [{ kind, path }]));
  const named = [datadir, torrents, segments, btcd, bootstrap].filter((path) => path !== undefined);
  const ways = named.length + (args.length > 0 ? 1 : 0);
  if (ways === 0) throw usage('name what to seed: --datadir DIR, --torrents DIR, or TORRENT=PATH');
  if (ways > 1)
    throw usage('--datadir, --segments, --btcd, --bootstrap, --torrents and TORRENT=PATH exclude each other');
  if (torrents === undefined && content !== undefined) throw usage('--content belongs to --torrents');
  if (torrents === undefined && args.length === 0 && options.superSeed) {
    throw usage(`--super-seed is not for --${archive?.kind ?? 'datadir'}`);
  }
  if (datadir === undefined) {
    const stray = datadirOnly.find((name) => options[name] !== undefined);
    if (stray)
      throw usage(
        `--${stray.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} belongs to --datadir`,
      );
  }
  if (datadir === undefined && !archive && (options.catalogue ?? options.minChainWork) !== undefined) {
    throw usage('--catalogue and --min-chain-work belong to --datadir, --segments, --btcd and --bootstrap');
  }
  if (archive) await archiveSeedCommand(context, archive);
  else if (datadir === undefined) await torrentSeedCommand(context);
  else await datadirSeedCommand({ ...context, options: { ...options, datadir } });
}

async function datadirSeedCommand({ env, output, options }: CommandContext<DatadirOptions>): Promise<void> {
  const startedMs = performance.now();
  const report = jobReport(output);
  const key = options.publish === undefined ? null : await readPublisherKey(options.publish);
  const seeder = await Seeder.start(
    { ...options, stateDir: stateDir(env, options.stateDir) },
    env.signal,
    report,
  );
  try {
    if (key) publishingDht(seeder);
    const { source, peerNode } = seeder;
    const [network, listen] = [source.network.name, peerNode.listening];
    output.event(
      { event: 'listening', network, listen, height: source.height, segments: seeder.sealed },
      `listening on ${listen ?? 'no port'}; segments are served as they are hashed`,
    );
    await Promise.race([seeder.caughtUp, stopped(env)]);
    env.signal.throwIfAborted();
    const { torrents, catalogue } = seeder;
    const v1 = catalogue?.infoHashV1;
    const ready = {
      network,
      listen,
      segments: seeder.sealed,
      torrents: torrents.length,
      lengthBytes: torrents.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0),
      catalogueInfoHashV1: v1 ? toHex(v1) : null,
      /** Torrents by how far their bytes are hashed. */
      states: seeder.segments.states,
      ...seeder.heldBytes,
    };
    const text =
      `seeding ${ready.segments} segments of ${ready.network} (${ready.torrents} torrents, ` +
      `${formatBytes(ready.lengthBytes)}) on ${ready.listen ?? 'no port'}, catalogue ${ready.catalogueInfoHashV1 ?? 'none'}`;
    const told = seeding({ env, output, options, peerNode, ready, text, startedMs });
    await Promise.all([told, key && publishCatalogue(seeder, key, env.signal, report)]);
  } finally {
    await seeder.close();
  }
}
