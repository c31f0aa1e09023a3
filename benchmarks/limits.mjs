// What the machine itself allows: our hash functions over memory on all cores, and copying memory on one.
import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { cargoProgram } from './cargo.mjs';

let measured;

function limits() {
  const args = ['limits', String(availableParallelism())];
  measured ??= JSON.parse(execFileSync(cargoProgram('storeloop'), args, { encoding: 'utf8' }));
  return measured;
}

/** The bare hash loop of one kind of torrent. */
export function hashLimit(kind) {
  return { name: 'bare hash loop', gibPerSecond: limits()[kind] };
}

/** Copying memory that is in no cache, with one core. */
export function copyLimit() {
  return { name: 'memory copy', gibPerSecond: limits().copy };
}
