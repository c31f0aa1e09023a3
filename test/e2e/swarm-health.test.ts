/** Which segments are in danger, and adopting those. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { cliJson, startCli, startSeed } from '../helpers/cli.js';
import { dhtHub } from '../helpers/dht-hub.js';
import { regtestChain } from '../helpers/regtest-chain.js';
import { tempFolder } from '../helpers/temp.js';
import { Tracker } from '../helpers/tracker.js';

interface Health {
  readonly segments: number;
  readonly torrents: readonly {
    readonly name: string;
    readonly lengthBytes: number;
    readonly seeds: number;
    readonly peers: number;
    readonly distributedCopies: number;
    readonly state: string;
    readonly trackers: readonly {
      readonly tracker: string;
      readonly seeds: number;
      readonly leechers: number;
    }[];
  }[];
}

t.test('health says who has each segment, and adopt makes the rare ones less so', async (t) => {
  const chain = await regtestChain(t);
  const hub = dhtHub(t);
  const dht = hub.options;
  const tracker = await Tracker.start(t);
  const net = ['--network', 'regtest', '--tracker', tracker.url, ...dht];
  const seed = await startSeed(t, ['--datadir', chain.datadir, ...net]);
  const folder = tempFolder(t);
  const look = async (name: string) =>
    cliJson<Health>(t, [
      ...[
        'swarm-health',
        ...net,
        '--listen',
        '127.0.0.1:0',
        '--watch',
        '20',
        '--catalogue',
        seed.catalogueInfoHashV1 ?? '',
      ],
      ...['--state-dir', join(folder, name)],
    ]);
  const before = await look('before');
  t.equal(before.torrents.length, 2 * before.segments);
  const counted = { tracker: new URL(tracker.url).origin, seeds: 1, leechers: 0 };
  for (const each of before.torrents) {
    const seen = { seeds: 1, peers: 0, distributedCopies: 1, state: 'in-danger', trackers: [counted] };
    t.match(each, seen, each.name);
  }
  const smallest = Math.min(...before.torrents.map(({ lengthBytes }) => lengthBytes));
  const out = join(folder, 'adopted');
  const program = startCli(t, [
    ...[
      'adopt',
      String(smallest + 1000),
      '--out',
      out,
      ...net,
      '--listen',
      '127.0.0.1:0',
      '--json',
      '--watch',
      '20',
    ],
    ...['--state-dir', join(folder, 'state')],
  ]);
  const [line] = await program.printed(/^\{.*"adopted".*\}$/m);
  const { adopted, failed } = JSON.parse(line) as {
    adopted: { name: string; lengthBytes: number }[];
    failed: unknown[];
  };
  t.same(failed, []);
  t.ok(adopted.length >= 1);
  const files = readdirSync(out).filter((name) => name.endsWith('.dat'));
  t.same(files.sort(), adopted.map(({ name }) => name).sort());
  const bytes = files.reduce((sum, name) => sum + statSync(join(out, name)).size, 0);
  t.ok(bytes <= smallest + 1000, `${bytes} bytes stay within the budget`);

  // The adopter's announcement may still be on its way through the DHT.
  const isFound = (health: Health) =>
    health.torrents.every(({ name, seeds }) => seeds === (files.includes(name) ? 2 : 1));
  let after = await look('after-0');
  if (!isFound(after)) after = await look('after-1');
  for (const each of after.torrents) t.equal(each.seeds, files.includes(each.name) ? 2 : 1, each.name);
  t.equal((await program.stop()).code, 0);
});
