// btcd's own importer of blocks, which writes the block files of tests.
import { join } from 'node:path';
import { ensureGoProgram } from './go-program.mjs';

/** The program, or '' where it cannot be built. */
export function ensureBtcdImporter() {
  const source = join('test', 'helpers', 'btcd');
  const goPackage = 'github.com/btcsuite/btcd/cmd/addblock';
  return ensureGoProgram({ source, name: 'addblock', goPackage, peer: 'btcd', what: "btcd's addblock" });
}
