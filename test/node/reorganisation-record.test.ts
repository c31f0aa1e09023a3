/** What the state folder keeps of the chain: read back as it was, and safe when it is damaged. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { ChainChange } from '../../src/node/chain-follower.js';
import { ChainRecord } from '../../src/node/chain-record.js';
import { ReorganisationRecord, reorganisation } from '../../src/node/reorganisation-record.js';
import { tempFolder } from '../helpers/temp.js';

const hash = (fill: number) => Buffer.alloc(32, fill);
const tip = (height: number) => ({ height, hash: hash(height), work: hash(1) });
const change: ChainChange = {
  ...{ kind: 'reorganised', forkHeight: 50, isExact: true },
  ...{ before: tip(90), tip: tip(91), firstSegment: 5 },
};
const more = { network: 'mainnet', sinceSeconds: 7, isPaused: true };
const report = { progress: () => {}, warn: () => {}, event: () => {} };

t.test('a pause holds until it is taken back, from the lowest segment on', async (t) => {
  const folder = tempFolder(t);
  const kept = reorganisation(change, more);
  if (!kept) throw new Error('no reorganisation');
  t.match(kept, { firstSegment: 5, depth: 40, before: { height: 90 }, tip: { height: 91 } });
  const record = ReorganisationRecord.open(folder, 'mainnet');
  t.equal(record.paused, null);
  record.begin(kept);
  t.same(record.paused, kept, 'also before it is written down');
  await record.write();
  t.same(ReorganisationRecord.open(folder, 'mainnet').paused, kept);
  record.begin({ ...kept, firstSegment: 8 });
  await record.write();
  t.equal(record.paused?.firstSegment, 5);

  const person = ReorganisationRecord.open(folder, 'mainnet');
  t.equal(person.resume()?.firstSegment, 5);
  await person.write();
  t.equal(record.paused, null, 'a running seed notices');
  t.match(JSON.parse(readFileSync(join(folder, 'reorganisation.json'), 'utf8')), {
    depth: 40,
    isPaused: false,
  });
});

t.test('a change that took nothing back, or for want of files, is not kept', async (t) => {
  t.equal(reorganisation({ ...change, firstSegment: null }, more), null);
  t.equal(reorganisation({ ...change, kind: 'lost' }, more), null);
});

t.test('a damaged record pauses from the first segment on', async (t) => {
  const folder = tempFolder(t);
  for (const text of ['', '{', '{"schema":2}', '{"schema":1,"isPaused":false}', 'x'.repeat(70_000)]) {
    writeFileSync(join(folder, 'reorganisation.json'), text);
    t.match(
      ReorganisationRecord.open(folder, 'signet').paused,
      { network: 'signet', firstSegment: 0 },
      text.slice(0, 40),
    );
  }
});

t.test('what was sealed is read back; of another network, or damaged, it counts as none', async (t) => {
  const folder = tempFolder(t);
  const record = await ChainRecord.open(folder, 'regtest', report);
  t.equal(record.known, null);
  const known = { tip: tip(300), sealedHashes: [hash(1), hash(2)] };
  await record.save(known);
  const read = async (network: string) => (await ChainRecord.open(folder, network, report)).known;
  t.match(await read('regtest'), { tip: { height: 300 } });
  t.same(
    (await read('regtest'))?.sealedHashes.map((bytes) => bytes[0]),
    [1, 2],
  );
  t.equal(await read('signet'), null);
  const path = join(folder, 'chain.json');
  const good = readFileSync(path, 'utf8');
  for (const text of ['', '[]', good.slice(0, -9), good.replace('300', '-1'), good.replace('0202', '02')]) {
    writeFileSync(path, text);
    t.equal(await read('regtest'), null);
  }
});
