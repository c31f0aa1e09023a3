/** `blockswarm seed TORRENT=PATH…` and `--torrents DIR`: serves any torrents until it is stopped. */
import { BlockswarmError } from '../errors.js';
import { type NamedTorrent, TorrentSeeder, type TorrentSeedOptions } from '../node/torrent-seed.js';
import { stateDir } from './env.js';
import { jobReport } from './job-report.js';
import type { OutputOptions } from './output.js';
import type { CommandContext } from './program.js';
import { seeding } from './seeding.js';

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
    const ready = { listen: peerNode.listening, torrents: library.size, unchecked: library.uncheckedCount };
    const toCheck = ready.unchecked > 0 ? `, ${ready.unchecked} of them to be checked` : '';
    const count = `${ready.torrents} ${ready.torrents === 1 ? 'torrent' : 'torrents'}`;
    const text = `seeding ${count} on ${ready.listen ?? 'no port'}${toCheck}`;
    await seeding({ env, output, options, peerNode, ready, text, startedMs });
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
