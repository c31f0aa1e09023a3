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
  'seen from here, now: addresses that the DHT named and connections to them. Who could not be reached is not counted, ' +
  'and how old an announcement is the DHT does not tell (nodes forget them after about half an hour).';

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
    const result = {
      network: network.name,
      segments: records.length,
      catalogueFrom: catalogue.from,
      observed: observedText,
      inDanger: torrents.filter(({ state }) => state !== 'fine').length,
      torrents,
    };
    output.result(result, () => healthText(result.network, torrents));
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

function healthJson({
  index,
  kind,
  torrent,
  named,
  reached,
  seeds,
  peers,
  distributedCopies,
}: TorrentHealth) {
  const { name, lengthBytes, infoHashV1 } = torrent;
  return {
    segment: index,
    kind,
    name,
    lengthBytes,
    infoHashV1: infoHashV1 && toHex(infoHashV1),
    named,
    reached,
    seeds,
    peers,
    distributedCopies,
    state: distributedCopies < 1 ? 'not-whole' : distributedCopies < safeCopies ? 'in-danger' : 'fine',
    /** The DHT does not say it. */
    oldestAnnounce: null,
  };
}

function healthText(network: string, torrents: readonly ReturnType<typeof healthJson>[]): string {
  const words = { 'not-whole': 'NOT WHOLE', 'in-danger': 'in danger', fine: 'fine' };
  const rows = torrents.map(
    ({ name, lengthBytes, named, reached, seeds, peers, distributedCopies, state }) =>
      `  ${name}  ${formatBytes(lengthBytes).padStart(9)}  seeds ${seeds}  peers ${peers}  ` +
      `copies ${distributedCopies}  named ${named}  reached ${reached}  ${words[state as keyof typeof words]}`,
  );
  return [`${network}: ${torrents.length / 2} segments, ${observedText}`, ...rows].join('\n');
}

function adoptText({ network, folder, budgetBytes, adopted, failed, lengthBytes }: AdoptResult): string {
  const rows = adopted.map(
    ({ name, lengthBytes: bytes, copies }) => `  ${name}  ${formatBytes(bytes)}  copies ${copies}`,
  );
  return [
    `adopted ${adopted.length} files of ${network} in ${folder}: ${formatBytes(lengthBytes)} of ${formatBytes(budgetBytes)}`,
    ...rows,
    ...(failed.length > 0 ? [`  ${failed.length} could not be had: see the warnings`] : []),
    'Their hashes are checked against the catalogue; seeding until stopped.',
  ].join('\n');
}
