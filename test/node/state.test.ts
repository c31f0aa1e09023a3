import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { StateFolder } from '../../src/node/state.js';
import { tempFolder } from '../helpers/temp.js';

t.test('one folder and one lock for each subject, by its real path', async (t) => {
  const folder = tempFolder(t);
  const state = join(folder, 'state');
  const [subject, link, other] = ['subject', 'link', 'deep/subject'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  mkdirSync(subject);
  mkdirSync(other, { recursive: true });
  symlinkSync(subject, link);
  const held = StateFolder.open(state, subject);
  t.equal(readFileSync(join(held.path, 'subject'), 'utf8'), `${subject}\n`);
  t.throws(
    () => StateFolder.open(state, link),
    { code: 'ERR_STATE_LOCKED' },
    'the same folder by another name',
  );
  const beside = StateFolder.open(state, other);
  t.not(beside.path, held.path, 'another folder of the same name');
  held.close();
  StateFolder.open(state, link).close();
  beside.close();
});
