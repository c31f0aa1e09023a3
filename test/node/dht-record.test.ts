import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { NO_DHT_STATE } from '../../src/discovery/dht-state.js';
import { DHT_FILE, DhtRecord } from '../../src/node/dht-record.js';

const warnings: string[] = [];
const report = { warn: (text: string) => warnings.push(text) } as never;
const node = { id: new Uint8Array(20).fill(2), host: '8.8.8.8', port: 9 };
const state = { ...NO_DHT_STATE, ipv4: { id: new Uint8Array(20).fill(1), nodes: [node] } };

t.test('ids and nodes are there after a restart, in every folder of the process', async (t) => {
  const folders = [t.testdir({ one: {}, two: {} })].flatMap((path) => [join(path, 'one'), join(path, 'two')]);
  const record = await DhtRecord.open(folders, report);
  t.same(record.state, NO_DHT_STATE, 'none at first');
  await record.save(state);
  for (const folder of folders) {
    t.same((await DhtRecord.open([folder], report)).state, state);
    t.same(await readdir(folder), [DHT_FILE]);
  }
  await record.save(NO_DHT_STATE);
  t.same((await DhtRecord.open(folders, report)).state, state, 'a run without nodes does not empty it');
  let asked = 0;
  const dht = {
    state: () => {
      asked++;
      return state;
    },
  };
  record.tick(dht, performance.now());
  record.tick(dht, performance.now() + 11 * 60_000);
  t.equal(asked, 1, 'written down every ten minutes');
  await record.save(state);
});

t.test('a damaged record counts as none, and a folder that is gone is told of once', async (t) => {
  const folder = t.testdir({ [DHT_FILE]: 'rubbish', gone: {} });
  t.same((await DhtRecord.open([folder], report)).state, NO_DHT_STATE);
  await writeFile(join(folder, DHT_FILE), new Uint8Array(1_000_000));
  t.same((await DhtRecord.open([folder], report)).state, NO_DHT_STATE);
  const record = await DhtRecord.open([join(folder, 'gone')], report);
  await rm(join(folder, 'gone'), { recursive: true });
  await record.save(state);
  await record.save(state);
  t.equal(warnings.length, 1);
});
