/** On mainnet a reorganisation that took back sealed segments pauses sealing until a person lets it go on. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { StateFolder } from '../../src/node/state.js';
import { cliJson, startCli } from '../helpers/cli.js';
import { withoutSample } from '../helpers/engine.js';
import { sampleDatadir } from '../helpers/sample-datadir.js';
import { tempFolder } from '../helpers/temp.js';

interface Resumed {
  readonly wasPaused: boolean;
  readonly reorganisation: { readonly firstSegment: number; readonly depth: number } | null;
}

t.test(
  'sealing is paused over restarts, and resumed beside a running seed',
  { skip: withoutSample() },
  async (t) => {
    const datadir = await sampleDatadir();
    const stateDir = tempFolder(t);
    const where = ['--datadir', datadir, '--state-dir', stateDir];
    const seed = () => {
      const quiet = ['--listen', '127.0.0.1:0', '--no-dht', '--no-lsd', '--no-port-mapping', '--no-trackers'];
      return startCli(t, ['seed', ...where, ...quiet, '--json-lines']);
    };
    const first = seed();
    await first.printed(/"event":"ready".*"segments":6,"torrents":18/);
    t.equal((await first.stop()).code, 0);
    t.same(await cliJson<Resumed>(t, ['seal', 'resume', ...where]), {
      schema: 1,
      network: 'mainnet',
      wasPaused: false,
      reorganisation: null,
    });

    // As if another chain had been sealed: nobody has one with mainnet's work.
    const record = join(StateFolder.pathOf(stateDir, datadir), 'chain.json');
    const chain = JSON.parse(readFileSync(record, 'utf8'));
    for (const segment of [4, 5]) chain.sealed[segment] = 'ab'.repeat(32);
    chain.tip = { ...chain.tip, height: chain.tip.height + 10, hash: 'cd'.repeat(32) };
    writeFileSync(record, JSON.stringify(chain));

    const second = seed();
    await second.printed(/"event":"reorganisation".*"depthIsExact":false,.*"firstWithdrawnSegment":4,/);
    await second.printed(/"event":"sealing-paused","firstSegment":4/);
    await second.printed(/"event":"ready".*"segments":4,"torrents":12/);
    t.equal((await second.stop('SIGKILL')).signal, 'SIGKILL');

    const third = seed();
    await third.printed(/"event":"warning","message":"nothing from segment 4 on is sealed.*seal resume/);
    await third.printed(/"event":"ready".*"segments":4,/);
    t.match(await cliJson<Resumed>(t, ['seal', 'resume', ...where]), {
      wasPaused: true,
      reorganisation: { firstSegment: 4, depth: 14_141 - (4 * 2016 - 1) },
    });
    await third.printed(/"event":"sealing-resumed"/);
    await third.printed(/"event":"catalogue-seeding","segments":6,/);
    t.equal((await third.stop()).code, 0);
    const last = seed();
    await last.printed(/"event":"ready".*"segments":6,"torrents":18/);
    t.notMatch(last.stdout, /"event":"(?:reorganisation|warning)"/);
    t.equal((await last.stop()).code, 0);
  },
);
