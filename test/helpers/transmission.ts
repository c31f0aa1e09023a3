/**
 * transmission-daemon as a leecher and a seeder. It never dials a peer on 127.0.0.0/8, but takes connections from
 * there: whoever seeds must dial it.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { freePort } from './free-port.js';
import { Program } from './program.js';
import { tempFolder } from './temp.js';

/** `npm test` sets it where the system's own transmission is too old. */
const command = process.env['BLOCKSWARM_TRANSMISSION'] || 'transmission-daemon';

/** For tap's `skip`: why a test that needs transmission does not run, or `false`. */
export const noTransmission: string | false = missing();

function missing(): string | false {
  const { stderr, stdout } = spawnSync(command, ['--version'], { encoding: 'utf8' });
  const version = /transmission-daemon (\d+)\./.exec(`${stdout}${stderr}`);
  if (!version) return 'no transmission: install the Debian package transmission-daemon';
  // transmission 3 takes the empty key of `file tree` for a syntax error.
  return Number(version[1]) < 4 && 'transmission is older than 4 and cannot read hybrid torrents';
}

const pollMs = 100;

interface TorrentState {
  readonly leftUntilDone: number;
  readonly sizeWhenDone: number;
  readonly errorString: string;
  readonly status: number;
}

/** Of `status`: it has checked what was there, and fetches the rest or seeds. */
const runs: ReadonlySet<number> = new Set([4, 6]);

export class Transmission {
  /** Where it takes connections of peers. */
  readonly peerAddress: string;
  readonly #program: Program;
  readonly #rpcUrl: string;
  #session = '';

  private constructor(program: Program, peerPort: number, rpcPort: number) {
    this.#program = program;
    this.peerAddress = `127.0.0.1:${peerPort}`;
    this.#rpcUrl = `http://127.0.0.1:${rpcPort}/transmission/rpc`;
  }

  /** `encrypted`: it takes nothing else. `pex`: it tells peers of each other. */
  static async start(t: Test, { encrypted = false, pex = false } = {}): Promise<Transmission> {
    const folder = tempFolder(t);
    const [peerPort, rpcPort] = [await freePort(), await freePort()];
    const settings = {
      'bind-address-ipv4': '127.0.0.1',
      'cache-size-mb': 0,
      'dht-enabled': false,
      encryption: encrypted ? 2 : 1,
      'incomplete-dir-enabled': false,
      'lpd-enabled': false,
      'peer-port': peerPort,
      'pex-enabled': pex,
      'port-forwarding-enabled': false,
      'rpc-bind-address': '127.0.0.1',
      'rpc-port': rpcPort,
      'rpc-whitelist-enabled': false,
      'utp-enabled': false,
    };
    writeFileSync(join(folder, 'settings.json'), JSON.stringify(settings));
    const daemon = new Program(t, command, ['--foreground', '--config-dir', folder]);
    const transmission = new Transmission(daemon, peerPort, rpcPort);
    await transmission.#answers();
    return transmission;
  }

  /** Adds a torrent and lets it wait for peers. */
  async add(torrent: string, outFolder: string): Promise<void> {
    const metainfo = readFileSync(torrent).toString('base64');
    await this.#call('torrent-add', { metainfo, 'download-dir': outFolder });
  }

  /** What it lacks of its torrents, of which something is there, once it has checked that. */
  async leftBytes(): Promise<number> {
    for (;;) {
      const torrents = await this.#torrents();
      if (torrents.every((each) => runs.has(each.status) && each.leftUntilDone < each.sizeWhenDone))
        return torrents.reduce((sum, { leftUntilDone }) => sum + leftUntilDone, 0);
      await sleep(pollMs);
    }
  }

  /** Waits until every byte is there. */
  async complete(): Promise<void> {
    for (;;) {
      const torrents = await this.#torrents();
      if (torrents.every(({ leftUntilDone, sizeWhenDone }) => leftUntilDone === 0 && sizeWhenDone > 0))
        return;
      await sleep(pollMs);
    }
  }

  /** Waits until every byte is there, then ends the daemon, which writes what it still holds. */
  async finish(): Promise<void> {
    await this.complete();
    await this.#program.stop();
  }

  /** Waits until the daemon takes calls: it says so on no stream. */
  async #answers(): Promise<void> {
    for (;;) {
      try {
        await this.#call('session-get', {});
        return;
      } catch (error) {
        if (this.#program.child.exitCode !== null) throw error;
        await sleep(pollMs);
      }
    }
  }

  async #torrents(): Promise<readonly TorrentState[]> {
    const fields = ['leftUntilDone', 'sizeWhenDone', 'errorString', 'status'];
    const { torrents } = await this.#call<{ torrents: TorrentState[] }>('torrent-get', { fields });
    const failed = torrents.find(({ errorString }) => errorString !== '');
    if (failed) throw new Error(`transmission: ${failed.errorString}`);
    return torrents;
  }

  async #call<T>(method: string, args: object): Promise<T> {
    const send = () =>
      fetch(this.#rpcUrl, {
        method: 'POST',
        headers: { 'X-Transmission-Session-Id': this.#session, connection: 'close' },
        body: JSON.stringify({ method, arguments: args }),
      });
    let response = await send();
    if (response.status === 409) {
      // Its guard against cross-site requests: the first answer names the session.
      this.#session = response.headers.get('X-Transmission-Session-Id') ?? '';
      await response.arrayBuffer();
      response = await send();
    }
    const answer = (await response.json()) as { result: string; arguments: T };
    if (answer.result !== 'success') throw new Error(`transmission: ${method}: ${answer.result}`);
    return answer.arguments;
  }
}
