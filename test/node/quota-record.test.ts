/** What was used of the month's quota is known after a restart. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { rateLimits } from '../../src/node/peering.js';
import { QUOTA_FILE, QuotaRecord } from '../../src/node/quota-record.js';
import { tempFolder } from '../helpers/temp.js';

function watch() {
  const warnings: string[] = [];
  const report = { progress: () => {}, event: () => {}, warn: (text: string) => warnings.push(text) };
  return { warnings, report };
}

const usage = { month: '2026-11', uploadedBytes: 12_345, downloadedBytes: 678 };
const status = {
  uploadBytesPerSecond: 0,
  downloadBytesPerSecond: 0,
  uploadStopped: null,
  downloadStopped: null,
};

t.test('what was saved is read again, and nothing is kept without a quota', async (t) => {
  const folder = tempFolder(t);
  const { warnings, report } = watch();
  const first = await QuotaRecord.open(1, [folder], report);
  t.equal(first?.usage, null);
  await first?.save(usage);
  t.same((await QuotaRecord.open(1, [folder], report))?.usage, usage);
  t.same(readdirSync(folder), [QUOTA_FILE], 'and no part of a file');
  t.equal(await QuotaRecord.open(undefined, [folder], report), null);
  t.same(warnings, []);
});

t.test('of several folders the one in which most was used counts', async (t) => {
  const folders = [tempFolder(t), tempFolder(t), tempFolder(t)];
  const { report } = watch();
  for (const [n, folder] of folders.entries()) {
    const month = n === 2 ? '2026-10' : '2026-11';
    await (await QuotaRecord.open(1, [folder], report))?.save({ ...usage, month, uploadedBytes: n + 1 });
  }
  t.same((await QuotaRecord.open(1, folders, report))?.usage, { ...usage, uploadedBytes: 2 });
});

t.test('a damaged record is told of and counts as none; the next one is whole', async (t) => {
  const whole = JSON.stringify({ schema: 1, ...usage });
  const damaged = [
    '',
    'null',
    whole.slice(0, -1),
    whole + ' '.repeat(1024),
    JSON.stringify({ ...usage }),
    JSON.stringify({ schema: 1, ...usage, month: 'now' }),
    JSON.stringify({ schema: 1, ...usage, uploadedBytes: -1 }),
    JSON.stringify({ schema: 1, ...usage, downloadedBytes: '7' }),
  ];
  for (const text of damaged) {
    const folder = tempFolder(t);
    const { warnings, report } = watch();
    writeFileSync(join(folder, QUOTA_FILE), text);
    const record = await QuotaRecord.open(1, [folder], report);
    t.equal(record?.usage, null, text);
    t.match(warnings, [/damaged/]);
    await record?.save(usage);
    t.same(JSON.parse(readFileSync(join(folder, QUOTA_FILE), 'utf8')), { schema: 1, ...usage });
  }
});

t.test('once a minute it is written, and once it is said that the quota is used up', async (t) => {
  const folder = tempFolder(t);
  const { warnings, report } = watch();
  const record = await QuotaRecord.open(1, [folder], report);
  const nowMs = performance.now();
  record?.tick({ ...status, usage }, nowMs + 1000);
  t.same(readdirSync(folder), []);
  const uploadStopped = 'the upload quota of 2026-11 is used up';
  for (const atMs of [59_000, 61_000, 62_000])
    record?.tick({ ...status, uploadStopped, usage: { ...usage, uploadedBytes: atMs } }, nowMs + atMs);
  // Waits for what the tick began.
  await record?.save({ ...usage, uploadedBytes: 61_000 });
  t.equal((await QuotaRecord.open(1, [folder], report))?.usage?.uploadedBytes, 61_000);
  t.same(warnings, [uploadStopped]);
});

t.test('a folder that cannot be written to is told of once', async (t) => {
  const { warnings, report } = watch();
  const record = await QuotaRecord.open(1, [join(tempFolder(t), 'gone')], report);
  await record?.save(usage);
  await record?.save({ ...usage, uploadedBytes: 99_999 });
  t.match(warnings, [/cannot write/]);
  t.equal(warnings.length, 1);
});

t.test('a schedule keeps the usual rate of the direction that it leaves out', async (t) => {
  const span = { fromMinute: 0, toMinute: 60 };
  const schedule = [{ ...span, rates: { uploadBytesPerSecond: 5 } }];
  const {
    schedules,
    quota,
    usage: used,
  } = rateLimits({ maxUpload: 1, maxDownload: 2, schedule, quota: 3 }, usage);
  t.same(schedules, [{ ...span, rates: { uploadBytesPerSecond: 5, downloadBytesPerSecond: 2 } }]);
  t.same([quota, used], [{ uploadBytes: 3 }, usage]);
});
