/** `blockswarm bootstrap` in tests: on loopback, against named peers. */
import type { Test } from 'tap';
import type { BootstrapResult } from '../../src/node/bootstrap.js';
import { sampleChainWork } from '../../src/node/demo.js';
import { cli, startCli } from './cli.js';
import type { Finished, Program } from './program.js';

export interface BootstrapArgs {
  readonly datadir: string;
  /** A file or an infohash. */
  readonly catalogue: string;
  /** `host:port`. */
  readonly peers: readonly string[];
  readonly network?: 'mainnet' | 'regtest';
  readonly stateDir: string;
  readonly more?: readonly string[];
}

function args({
  datadir,
  catalogue,
  peers,
  network = 'mainnet',
  stateDir,
  more = [],
}: BootstrapArgs): string[] {
  const fixed = ['bootstrap', '--listen', '127.0.0.1:0', '--no-dht', '--state-dir', stateDir];
  const named = peers.flatMap((peer) => ['--peer', peer]);
  // Regtest's own floor is zero; the sample's chain is too short for mainnet's.
  const floor = network === 'mainnet' ? ['--min-chain-work', sampleChainWork] : [];
  return [
    ...fixed,
    '--network',
    network,
    '--datadir',
    datadir,
    '--catalogue',
    catalogue,
    ...named,
    ...floor,
    ...more,
  ];
}

/** Runs it to its end, whatever that is. */
export function bootstrap(t: Test, options: BootstrapArgs): Promise<Finished> {
  return cli(t, [...args(options), '--json']);
}

/** Runs it; it must succeed. */
export async function bootstrapped(t: Test, options: BootstrapArgs): Promise<BootstrapResult> {
  const { code, stdout, stderr } = await bootstrap(t, options);
  if (code !== 0) throw new Error(`bootstrap ended with ${code}\n${stdout}${stderr}`);
  return JSON.parse(stdout) as BootstrapResult;
}

/** Starts it with a stream of events on stdout. */
export function startBootstrap(t: Test, options: BootstrapArgs): Program {
  return startCli(t, [...args(options), '--json-lines']);
}
