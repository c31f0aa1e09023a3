/** A processor that cannot hash as it was asked to is told of, and the hashes are right all the same. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { cli } from '../helpers/cli.js';
import { tempFolder } from '../helpers/temp.js';

t.test('every way of hashing makes the same torrent; one that is not there is warned of', async (t) => {
  const folder = tempFolder(t);
  const path = join(folder, 'file');
  writeFileSync(path, Buffer.alloc(3_000_001, 'some bytes'));
  const make = (cpu?: string) => {
    const out = join(folder, `${cpu ?? 'best'}.torrent`);
    const env = cpu === undefined ? {} : { BLOCKSWARM_CPU: cpu };
    return cli(t, ['torrent', 'make', path, '--out', out, '--json'], { env });
  };
  const [best, plain, odd] = [await make(), await make('scalar'), await make('abacus')];
  t.equal(best.stderr + plain.stderr, '');
  t.match(odd.stderr, /warning: BLOCKSWARM_CPU=abacus/);
  const hashes = [best, plain, odd].map(({ stdout }) => {
    const { infoHashV1, infoHashV2 } = JSON.parse(stdout);
    return { infoHashV1, infoHashV2 };
  });
  t.match(hashes[0], { infoHashV1: /^[0-9a-f]{40}$/, infoHashV2: /^[0-9a-f]{64}$/ });
  t.same(hashes[1], hashes[0]);
  t.same(hashes[2], hashes[0]);
});
