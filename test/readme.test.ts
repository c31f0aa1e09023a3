import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('..', import.meta.url));

t.test('every infohash that the README names is one of the vectors', async (t) => {
  const vectors = readFileSync(`${root}test/vectors/infohashes.json`, 'utf8');
  const rows = readFileSync(`${root}README.md`, 'utf8').matchAll(
    /^\| `(\S+)` *\| `(\w{40})` *\| `(\w{64})` *\|$/gm,
  );
  const named = [...rows].map(([, ...cells]) => cells);
  t.equal(named.length, 13);
  for (const cells of named) for (const cell of cells) t.ok(vectors.includes(`"${cell}"`), cell);
});
