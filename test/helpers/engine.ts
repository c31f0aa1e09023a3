/** What tests of Core's engine share: the sample, its records, and an engine process over a folder. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { EngineProcess } from '../../src/bridge/engine/parent.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Mainnet blocks 0 to 14,131 as `magic | size | block` records in height order. */
export const samplePath = `${root}src/node/sample/mainnet-0-14131.dat`;
export const sampleTipHeight = 14_131;
export const sampleTipHash = '00000000b3e750f37fdb42e1018799a9f44b546d393b130b369590a072430a1c';

/** Offsets of the records in a file of them, and its length. */
export function recordOffsets(bytes: Buffer): number[] {
  const offsets = [0];
  for (let at = 0; at < bytes.length; ) {
    at += 8 + bytes.readUInt32LE(at + 4);
    offsets.push(at);
  }
  return offsets;
}

/** The first `count` blocks of the sample as a range. */
export function sampleRange(first: number, end: number) {
  const offsets = recordOffsets(readFileSync(samplePath));
  const offsetBytes = offsets[first] ?? 0;
  return { path: samplePath, offsetBytes, lengthBytes: (offsets[end] ?? 0) - offsetBytes };
}

/**
 * The child program: as TypeScript under tap's loader, which a fork inherits through `execArgv`; else compiled.
 */
export function enginePath(): string {
  return `${root}src/bridge/engine/child.ts`;
}

/** An engine process over a network's folder. */
export function startEngine(datadirNet: string, options: { network?: string; signal?: AbortSignal } = {}) {
  const { network = 'mainnet', ...rest } = options;
  return EngineProcess.start({ datadirNet, network, childPath: enginePath(), ...rest });
}

/** Whether the addon is there at all: without it these tests cannot run. */
export function withoutSample(): string | false {
  return existsSync(samplePath) ? false : `${samplePath} is missing`;
}
