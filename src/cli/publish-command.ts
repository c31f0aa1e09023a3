/** `blockswarm catalogue keygen` and `catalogue publish`. */
import { publishCatalogue, publishingDht } from '../node/publish.js';
import { makePublisherKey, readPublisherKey } from '../node/publisher-key.js';
import { Seeder, type SeedOptions } from '../node/seed.js';
import { toHex } from '../units.js';
import { stateDir, stopped } from './env.js';
import { jobReport } from './job-report.js';
import type { CommandContext } from './program.js';

export async function keygenCommand({ output, args }: CommandContext<object>): Promise<void> {
  const file = args[0] ?? '';
  const publicKey = toHex(await makePublisherKey(file));
  output.result(
    { file, publicKey },
    () =>
      `${file}: the key, for you alone\nothers find what you publish with it by --catalogue dht:${publicKey}`,
  );
}

interface PublishOptions extends Omit<SeedOptions, 'stateDir'> {
  readonly key: string;
  readonly stateDir?: string;
}

export async function publishCommand({
  env,
  output,
  options,
}: CommandContext<PublishOptions>): Promise<void> {
  const key = await readPublisherKey(options.key);
  const report = jobReport(output);
  const seeder = await Seeder.start(
    { ...options, stateDir: stateDir(env, options.stateDir) },
    env.signal,
    report,
  );
  try {
    publishingDht(seeder);
    await Promise.race([seeder.caughtUp, stopped(env)]);
    env.signal.throwIfAborted();
    const { peerNode, catalogue, claims, source } = seeder;
    const ready = {
      event: 'ready',
      network: source.network.name,
      listen: peerNode.listening,
      segments: claims[0]?.count ?? 0,
      catalogueInfoHashV1: catalogue && toHex(catalogue.infoHashV1),
      publicKey: toHex(key.publicKey),
    };
    output.progress.clear();
    const text = `ready: catalogue of ${ready.segments} segments on ${ready.listen ?? 'no port'}, dht:${ready.publicKey}`;
    output.event(ready, text);
    await publishCatalogue(seeder, key, env.signal, report);
  } finally {
    await seeder.close();
  }
}
