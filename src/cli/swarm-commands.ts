/** `blockswarm swarm-health` and `adopt`. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type AdoptOptions, type AdoptResult, adopt } from '../node/adopt.js';
import { CatalogueClient, type CatalogueClientOptions } from '../node/catalogue-client.js';
import { swarmHealth, type TorrentHealth } from '../node/swarm-health.js';
import { formatBytes, toHex } from '../units.js';
import { coreDatadir, stateDir, stopped } from './env.js';
import { jobReport } from './job-report.js';
import { size } from './options.js';
import type { CommandContext } from './program.js';

type ClientOptions = Omit<CatalogueClientOptions, 'stateDir' | 'coreDatadir' | 'timeoutSeconds'> & {
  readonly stateDir?: string;
  readonly timeout: number;
  /** Seconds. */
  readonly watch: number;
};

/** A torrent with fewer copies than this is in danger: one more that leaves may be the last. */
const safeCopies = 3;

const observedText =
  'Seen from here, now: whom the DHT named, and who of them could be reached. What trackers count is what they were told.';

export async function swarmHealthCommand({
  env,
  output,
  options,
}: CommandContext<ClientOptions>): Promise<void> {
  const report = jobReport(output);
  const settings = clientOptions(env, options);
  const subject = join(settings.stateDir, `swarm-health-${options.network}`);
  await mkdir(subject, { recursive: true });
  const client = await CatalogueClient.open(settings, subject, env.signal, report);
  try {
    const { peerNode, catalogue, network } = client;
    const { records } = catalogue.reader;
    const watched = { peerNode, records, watchSeconds: options.watch, signal: env.signal, report };
    const health = await swarmHealth(watched);
    const torrents = health.map(healthJson);
    const count = (wanted: HealthState) => torrents.filter(({ state }) => state === wanted).length;
    const result = {
      network: network.name,
      segments: records.length,
      catalogueFrom: catalogue.from,
      observed: observedText,
      notWhole: count('not-whole'),
      inDanger: count('in-danger'),
      fine: count('fine'),
      torrents,
    };
    output.result(result, () => healthText(result));
  } finally {
    await client.close();
  }
}

export async function adoptCommand({
  env,
  output,
  options,
  args,
}: CommandContext<ClientOptions & { readonly out: string }>): Promise<void> {
  const settings: AdoptOptions = {
    ...clientOptions(env, options),
    sizeBytes: size(args[0] ?? ''),
    out: options.out,
    watchSeconds: options.watch,
    finished: async (result) => {
      output.result(result, () => adoptText(result));
      await stopped(env);
    },
  };
  await adopt(settings, env.signal, jobReport(output));
}

function clientOptions(env: CommandContext<object>['env'], options: ClientOptions): CatalogueClientOptions {
  return {
    ...options,
    stateDir: stateDir(env, options.stateDir),
    coreDatadir: coreDatadir(env),
    timeoutSeconds: options.timeout,
  };
}

type HealthState = 'not-whole' | 'in-danger' | 'fine';

interface HealthResult {
  readonly network: string;
  readonly segments: number;
  readonly notWhole: number;
  readonly inDanger: number;
  readonly torrents: readonly ReturnType<typeof healthJson>[];
}

function healthJson({ index, kind, torrent, ...seen }: TorrentHealth) {
  const { name, lengthBytes, infoHashV1, infoHashV2 } = torrent;
  const { named, reached, seeds, peers, distributedCopies, trackers, oldestAnnouncementMs } = seen;
  const state: HealthState =
    distributedCopies < 1 ? 'not-whole' : distributedCopies < safeCopies ? 'in-danger' : 'fine';
  return {
    segment: index,
    kind,
    name,
    lengthBytes,
    infoHashV1: infoHashV1 && toHex(infoHashV1),
    infoHashV2: infoHashV2 && toHex(infoHashV2),
    named,
    reached,
    seeds,
    peers,
    distributedCopies,
    state,
    trackers,
    /** Of those that our own DHT node was told; null where it was told of none: others do not say it. */
    oldestAnnounceSeconds: oldestAnnouncementMs === null ? null : Math.round(oldestAnnouncementMs / 1000),
  };
}

const healthWords = { 'not-whole': 'NOT WHOLE', 'in-danger': 'IN DANGER', fine: 'fine' };

/** The verdict, and a table with what is in most danger first. */
function healthText({ network, segments, notWhole, inDanger, torrents }: HealthResult): string {
  const verdict =
    notWhole > 0
      ? `${notWhole} of ${torrents.length} files cannot be had whole, ${inDanger} more have fewer than ${safeCopies} copies`
      : inDanger > 0
        ? `${inDanger} of ${torrents.length} files are in danger: they have fewer than ${safeCopies} copies`
        : `all ${torrents.length} files have ${safeCopies} copies or more`;
  const hasTrackers = torrents.some(({ trackers }) => trackers.length > 0);
  const head = ['', 'file', 'size', 'copies', 'seeds', 'peers', 'reached', 'announced'];
  const rows = [...torrents]
    .sort((a, b) => a.distributedCopies - b.distributedCopies || a.segment - b.segment)
    .map((each) => [
      healthWords[each.state],
      each.name,
      formatBytes(each.lengthBytes),
      String(each.distributedCopies),
      String(each.seeds),
      String(each.peers),
      `${each.reached} of ${each.named}`,
      age(each.oldestAnnounceSeconds),
      ...(hasTrackers ? [each.trackers.map(trackerText).join(', ') || 'unknown'] : []),
    ]);
  return [
    `${network}, ${segments} segments: ${verdict}.`,
    ...table([[...head, ...(hasTrackers ? ['trackers say'] : [])], ...rows]),
    observedText,
  ].join('\n');
}

function age(seconds: number | null): string {
  return seconds === null ? 'unknown' : `${Math.round(seconds / 60)} min ago`;
}

function trackerText({ tracker, seeds, leechers }: TorrentHealth['trackers'][number]): string {
  return `${seeds} seeds, ${leechers} peers (${tracker})`;
}

/** Columns as wide as they must be. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  return rows.map((row) => `  ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  ')}`.trimEnd());
}

function adoptText({ network, folder, budgetBytes, adopted, failed, lengthBytes }: AdoptResult): string {
  const rows = adopted.map(
    ({ name, lengthBytes: bytes, copies }) => `  ${name}  ${formatBytes(bytes)}  copies ${copies}`,
  );
  return [
    `adopted ${adopted.length} files of ${network} in ${folder}: ${formatBytes(lengthBytes)} of ${formatBytes(budgetBytes)}`,
    ...rows,
    ...(failed.length > 0 ? [`  ${failed.length} could not be had: see the warnings`] : []),
    'All hashes agree with the catalogue, and each block with its header; seeding until stopped.',
  ].join('\n');
}
