/** A data directory whose undo files Core before 0.15 wrote: blocks files only, until it is rewritten. */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { cliJson, startCli } from '../helpers/cli.js';
import { writeOldPair } from '../helpers/old-undo.js';
import { sampleDatadir } from '../helpers/sample-datadir.js';
import { tempFolder } from '../helpers/temp.js';

const alone = ['--listen', '127.0.0.1:0', '--no-dht', '--no-trackers'];
/** Of the catalogue of the sample's six segments: README. */
const catalogueV1 = '7a65c119891e1192f12a9932db88b746bf33a0db';

t.test(
  'old undo data is rewritten while blocks files are served, and then the catalogue is that of all',
  async (t) => {
    const datadir = tempFolder(t);
    const stateDir = tempFolder(t);
    mkdirSync(join(datadir, 'blocks'));
    const { coins } = writeOldPair(join(await sampleDatadir(), 'blocks'), join(datadir, 'blocks'));
    t.equal(coins, 865);
    const doctor = () =>
      cliJson<{ problems: number; findings: { what: string; severity: string; remedies: string[] }[] }>(t, [
        'doctor',
        '--datadir',
        datadir,
        '--state-dir',
        stateDir,
      ]);
    await t.rejects(doctor(), /written by Core before 0\.15/, 'a problem ends with exit code 1');

    const args = ['seed', '--datadir', datadir, '--state-dir', stateDir, '--json-lines', ...alone];
    const without = startCli(t, args);
    const [ready] = await without.printed(/^\{.*"event":"ready".*\}$/m);
    t.match(JSON.parse(ready), { torrents: 6, catalogueInfoHashV1: null });
    t.match((await without.stop('SIGINT')).stderr, /--rewrite-undo/);

    const rewriting = startCli(t, [...args, '--rewrite-undo']);
    const [rewritten] = await rewriting.printed(/^\{.*"event":"undo-rewritten".*\}$/m);
    const { records, coins: found } = JSON.parse(rewritten);
    t.equal(found, Math.ceil((coins * 2) / 3), 'one of three kept its height');
    t.ok(records > 0);
    const [catalogue] = await rewriting.printed(/^\{.*"event":"catalogue-seeding".*\}$/m);
    t.match(JSON.parse(catalogue), { segments: 6, infoHashV1: catalogueV1 });
    await rewriting.stop('SIGINT');

    const later = startCli(t, args);
    const [whole] = await later.printed(/^\{.*"event":"ready".*\}$/m);
    t.match(JSON.parse(whole), { catalogueInfoHashV1: catalogueV1 }, 'the overlay is used from then on');
    await later.stop('SIGINT');
    const { problems, findings } = await doctor();
    t.equal(problems, 0);
    t.match(findings, [{ what: 'old-undo', severity: 'remark' }]);

    const out = tempFolder(t);
    const exported = await cliJson<{ withoutSpent: number[] }>(t, [
      ...['export', '--datadir', datadir, '--to', out, '--state-dir', stateDir],
    ]);
    t.same(exported.withoutSpent, []);
    t.ok(existsSync(join(out, 'bitcoin-mainnet-spent-00005.dat')));
    rmSync(join(datadir, 'blocks', 'rev00000.dat'));
    const lacking = await cliJson<{ withoutSpent: number[] }>(t, [
      ...['export', '--datadir', datadir, '--to', tempFolder(t), '--first-segment', '5'],
    ]);
    t.same(lacking.withoutSpent, [5], 'without undo data and overlay');
  },
);
