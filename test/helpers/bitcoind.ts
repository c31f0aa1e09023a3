/**
 * A real `bitcoind` over a data directory, cut off from every network: the last judge of what we wrote.
 * Found by `BLOCKSWARM_BITCOIND`, which the test runner sets.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from './free-port.js';

const chains: { readonly [network: string]: readonly [chain: string, folder: string] } = {
  mainnet: ['main', ''],
  testnet3: ['test', 'testnet3'],
  testnet4: ['testnet4', 'testnet4'],
  signet: ['signet', 'signet'],
  regtest: ['regtest', 'regtest'],
};

export interface Bitcoind {
  /** `host:port`. */
  readonly rpcAddress: string;
  /** The call's result; rejects with Core's message. */
  rpc(method: string, params?: readonly unknown[]): Promise<unknown>;
  /** Ends it in good order; again is fine. */
  stop(): Promise<void>;
  /** Ends it at once, as a power cut would. */
  kill(): Promise<void>;
}

/** `false`, or why tests with a real node are skipped: `t.test(name, { skip: withoutBitcoind() }, …)`. */
export function withoutBitcoind(): string | false {
  const path = process.env['BLOCKSWARM_BITCOIND'];
  if (!path) return 'BLOCKSWARM_BITCOIND names no bitcoind (scripts/test.mjs builds one and sets it)';
  return existsSync(path) ? false : `BLOCKSWARM_BITCOIND: ${path} does not exist`;
}

/** The same for tests that need one with ZMQ, as those that people install have; the one that is built here has none. */
export function withoutZmqBitcoind(): string | false {
  const path = process.env['BLOCKSWARM_BITCOIND'] ?? '';
  const without = withoutBitcoind();
  if (without !== false) return without;
  const { stdout } = spawnSync(path, ['-help'], { encoding: 'utf8' });
  return stdout.includes('-zmqpubhashblock=') ? false : `${path} is built without ZMQ`;
}

/** Starts it and waits, at most a minute, until it answers. */
export async function startBitcoind(options: {
  readonly datadir: string;
  readonly network: string;
  readonly signal?: AbortSignal;
  readonly args?: readonly string[];
}): Promise<Bitcoind> {
  const { datadir, network, signal, args = [] } = options;
  const path = process.env['BLOCKSWARM_BITCOIND'];
  const [chain, folder] = chains[network] ?? [];
  if (!path || chain === undefined || folder === undefined) throw new Error(`no bitcoind for ${network}`);
  const port = await freePort();
  const node = spawn(path, [
    `-datadir=${datadir}`,
    `-chain=${chain}`,
    '-noconf',
    '-nosettings',
    '-nodebuglogfile',
    '-printtoconsole=1',
    '-networkactive=0',
    '-listen=0',
    '-connect=0',
    '-server=1',
    `-rpcport=${port}`,
    '-rpcbind=127.0.0.1',
    '-rpcallowip=127.0.0.1',
    '-dbcache=64',
    ...args,
  ]);
  let said = '';
  const hear = (text: string) => {
    said = (said + text).slice(-4000);
  };
  node.stdout.setEncoding('utf8').on('data', hear);
  node.stderr.setEncoding('utf8').on('data', hear);
  const gone = new Promise<string>((resolve) => {
    node.once('error', (error) => resolve(error.message));
    node.once('close', (code, killedBy) => resolve(`${killedBy ?? `exit code ${code}`}`));
  });
  let how: string | null = null;
  void gone.then((text) => {
    how = text;
  });

  const rpc = async (method: string, params: readonly unknown[] = []): Promise<unknown> => {
    const cookie = await readFile(join(datadir, folder, '.cookie'), 'utf8');
    const response = await fetch(`http://127.0.0.1:${port}/`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(cookie).toString('base64')}`, connection: 'close' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
      signal: signal ?? null,
    });
    const answer = (await response.json()) as { result?: unknown; error?: { message: string } };
    if (answer.error) throw new Error(`${method}: ${answer.error.message}`);
    return answer.result;
  };

  const deadline = Date.now() + 60_000;
  for (;;) {
    try {
      await rpc('getblockchaininfo');
      break;
    } catch (error) {
      if (how !== null) throw new Error(`bitcoind ended (${how}):\n${said}`);
      if (signal?.aborted || Date.now() > deadline) {
        node.kill('SIGKILL');
        await gone;
        throw new Error(`bitcoind does not answer (${error}):\n${said}`);
      }
      await delay(50);
    }
  }
  const kill = async () => {
    node.kill('SIGKILL');
    await gone;
  };
  return { rpcAddress: `127.0.0.1:${port}`, rpc, stop: () => stop(node, gone, rpc), kill };
}

async function stop(node: ChildProcess, gone: Promise<string>, rpc: Bitcoind['rpc']): Promise<void> {
  if (node.exitCode !== null || node.signalCode !== null) return;
  await rpc('stop').catch(() => node.kill('SIGTERM'));
  const timer = setTimeout(() => node.kill('SIGKILL'), 60_000);
  await gone;
  clearTimeout(timer);
}
