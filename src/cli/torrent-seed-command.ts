/** `blockswarm seed TORRENT=PATH…` and `--torrents DIR`: serves any torrents until it is stopped. */
import { BlockswarmError } from '../errors.js';
import { type NamedTorrent, TorrentSeeder, type TorrentSeedOptions } from '../node/torrent-seed.js';
import { formatBytes } from '../units.js';
import { stateDir, stopped } from './env.js';
import { jobReport } from './job-report.js';
import type { OutputOptions } from './output.js';
import type { CommandContext } from './program.js';

export interface TorrentSeedCommandOptions
  extends Omit<TorrentSeedOptions, 'stateDir' | 'torrents'>,
    OutputOptions {
  readonly stateDir?: string;
  readonly torrents?: string;
  readonly content?: string;
}

export async function torrentSeedCommand({
  env,
  output,
  options,
  args,
}: CommandContext<TorrentSeedCommandOptions>): Promise<void> {
  const startedMs = performance.now();
  const { torrents: folder, content, ...rest } = options;
  const torrents = folder === undefined ? args.map(namedTorrent) : { folder, content };
  const seeder = await TorrentSeeder.start(
    { ...rest, stateDir: stateDir(env, options.stateDir), torrents },
    env.signal,
    jobReport(output),
  );
  try {
    const { peerNode, library } = seeder;
    const listen = peerNode.listening;
    const ready = { event: 'ready', listen, torrents: library.size, unchecked: library.uncheckedCount };
    output.progress.clear();
    // The ready line is data: scripts wait for it, so it goes to stdout in either form.
    if (options.json || options.jsonLines) output.result(ready, () => '');
    else {
      const toCheck = ready.unchecked > 0 ? `, ${ready.unchecked} of them to be checked` : '';
      const count = `${ready.torrents} ${ready.torrents === 1 ? 'torrent' : 'torrents'}`;
      env.out(`ready: seeding ${count} on ${listen ?? 'no port'}${toCheck}\n`);
    }
    await stopped(env);
    const { uploadedBytes } = peerNode.stats();
    const seconds = (performance.now() - startedMs) / 1000;
    output.event(
      { event: 'stopped', uploadedBytes, seconds },
      `stopped: ${formatBytes(uploadedBytes)} uploaded`,
    );
  } finally {
    await seeder.close();
  }
}

/** `TORRENT=PATH`: the first `=`, but one behind `.torrent` when there is one. */
function namedTorrent(text: string): NamedTorrent {
  const at = text.indexOf('.torrent=');
  const cut = at < 0 ? text.indexOf('=') : at + '.torrent'.length;
  if (cut > 0 && cut < text.length - 1) return { torrent: text.slice(0, cut), content: text.slice(cut + 1) };
  throw new BlockswarmError('ERR_USAGE', `expected TORRENT=PATH, got \`${text}\``);
}
