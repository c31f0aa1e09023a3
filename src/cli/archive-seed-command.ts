/** `blockswarm seed --segments`, `--btcd` and `--bootstrap`: serves the chain from files that no Core node writes. */
import type { Metainfo } from '../metainfo/metainfo.js';
import { type Archive, ArchiveSeeder, type ArchiveSeedOptions } from '../node/archive-seed.js';
import { FolderSeeder, type FolderSeedOptions } from '../node/folder-seed.js';
import type { PeerNode } from '../node/peer-node.js';
import { formatBytes, toHex } from '../units.js';
import { coreDatadir, stateDir, stopped } from './env.js';
import { jobReport } from './job-report.js';
import type { OutputOptions } from './output.js';
import type { CommandContext } from './program.js';
import { seeding } from './seeding.js';

export interface ArchiveSeedCommandOptions
  extends Omit<FolderSeedOptions, 'stateDir' | 'segments'>,
    Pick<ArchiveSeedOptions, 'catalogue' | 'minChainWork'>,
    OutputOptions {
  readonly stateDir?: string;
}

/** How long a source of the catalogue is waited for. */
const TIMEOUT_SECONDS = 1800;

/** What both kinds of seeder are. */
interface RunningSeeder {
  readonly peerNode: PeerNode;
  readonly caughtUp: Promise<void>;
  readonly torrents: readonly Metainfo[];
  close(): Promise<void>;
}

export async function archiveSeedCommand(
  context: CommandContext<ArchiveSeedCommandOptions>,
  archive: Archive,
): Promise<void> {
  const { env, output, options } = context;
  const startedMs = performance.now();
  const seeder = await start(context, archive);
  try {
    const { peerNode } = seeder;
    const [network, listen] = [options.network, peerNode.listening];
    output.event(
      { event: 'listening', network, listen },
      `listening on ${listen ?? 'no port'}; segments are served as they are checked`,
    );
    await Promise.race([seeder.caughtUp, stopped(env)]);
    env.signal.throwIfAborted();
    const { torrents } = seeder;
    const catalogue = seeder instanceof FolderSeeder ? seeder.catalogue : null;
    const ready = {
      network,
      listen,
      torrents: torrents.length,
      lengthBytes: torrents.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0),
      catalogueInfoHashV1: catalogue && toHex(catalogue.infoHashV1),
    };
    const named = seeder instanceof FolderSeeder ? `, catalogue ${ready.catalogueInfoHashV1 ?? 'none'}` : '';
    const text =
      `seeding ${ready.torrents} torrents of ${network} from ${archive.path} ` +
      `(${formatBytes(ready.lengthBytes)}) on ${listen ?? 'no port'}${named}`;
    await seeding({ env, output, options, peerNode, ready, text, startedMs });
  } finally {
    await seeder.close();
  }
}

function start(
  { env, output, options }: CommandContext<ArchiveSeedCommandOptions>,
  archive: Archive,
): Promise<RunningSeeder & (FolderSeeder | ArchiveSeeder)> {
  const report = jobReport(output);
  const settings = { ...options, stateDir: stateDir(env, options.stateDir) };
  // Segment files alone say which chain they are of; the others are of use only with a catalogue.
  if (archive.kind === 'segments' && options.catalogue === undefined) {
    return FolderSeeder.start({ ...settings, segments: archive.path }, env.signal, report);
  }
  const client = { coreDatadir: coreDatadir(env), timeoutSeconds: TIMEOUT_SECONDS };
  return ArchiveSeeder.start({ ...settings, ...client, archive }, env.signal, report);
}
