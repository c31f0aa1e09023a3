import t from 'tap';
import { bootstrapText } from '../../src/cli/bootstrap-command.js';
import type { ScriptsVerdict } from '../../src/node/arriving-scripts.js';
import type { BootstrapResult } from '../../src/node/bootstrap.js';

/** What is said of our own verdict on a chain of the heights 0 to 431. */
function ownLine(own: Partial<ScriptsVerdict>): string {
  const levels = { bytes: [], chain: [], scripts: [], set: [] };
  const ownScripts = { inputs: 7, valid: [], failure: null, ...own };
  const result = { height: 431, levels, ownScripts, assumedValidBelow: null } as Partial<BootstrapResult>;
  const lines = bootstrapText({
    downloadedBytes: 0,
    uploadedBytes: 0,
    seconds: 1,
    peers: 1,
    ...result,
  } as BootstrapResult);
  return lines.split('\n')[5]?.trim() ?? '';
}

t.test('our own verdict names what it is about, and what it is not', async (t) => {
  const range = (firstHeight: number, endHeight: number) => ({ firstHeight, endHeight });
  t.equal(
    ownLine({ valid: [range(0, 432)] }),
    'judged here too for heights 0 to 431: 7 inputs (spent outputs not yet proven)',
  );
  t.equal(
    ownLine({ valid: [range(0, 144), range(288, 400)] }),
    'judged here too for heights 0 to 143, 288 to 399: 7 inputs (spent outputs not yet proven); NOT judged valid here: 144 to 287, 400 to 431',
  );
  t.equal(ownLine({}), 'judged here too: nothing; NOT judged valid here: 0 to 431');
  const failure = { height: 9, reason: 'bad-txns', txid: null, input: null, blame: 'block' };
  t.equal(ownLine({ failure }), 'NOT VALID as judged here: block 9: bad-txns (to blame: block)');
});
