// A DHT node of anacrolix's library, as a peer of tests.
import { join } from 'node:path';
import { ensureGoProgram } from './go-program.mjs';

/** The program, or '' where it cannot be built. */
export function ensureDhtPeer() {
  const source = join('test', 'helpers', 'dht-peer');
  const what = "a DHT node of anacrolix's library";
  return ensureGoProgram({ source, name: 'dht-peer', peer: 'anacrolix-dht', what });
}
