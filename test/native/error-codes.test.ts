import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { isErrorCode } from '../../src/errors.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

t.test('every code that the native core uses is documented', async (t) => {
  const codes = new Set<string>();
  for (const folder of ['bindings/src', 'crates']) {
    for (const name of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.rs')) continue;
      const source = readFileSync(join(root, folder, name), 'utf8');
      for (const [, code] of source.matchAll(/"(ERR_[A-Z_]+)"/g)) codes.add(code ?? '');
    }
  }
  t.ok(codes.size > 10);
  t.same(
    [...codes].filter((code) => !isErrorCode(code)),
    [],
  );
});
