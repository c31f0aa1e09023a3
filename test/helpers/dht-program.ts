import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { formatPeerAddress, type PeerAddress } from '../../src/connector.js';
import { noLibtorrent } from './libtorrent.js';
import { Program } from './program.js';

const python = process.env['BLOCKSWARM_PYTHON'] ?? '';
const script = fileURLToPath(new URL('libtorrent_dht.py', import.meta.url));
const goPeer = process.env['BLOCKSWARM_DHT_PEER'] ?? '';

/** DHT nodes of other programs, by name: the command, and why its tests are skipped, if they are. */
export const DHT_PROGRAMS = {
  libtorrent: { command: [python, '-BW', 'ignore', script], missing: noLibtorrent },
  anacrolix: {
    command: [goPeer],
    missing: !existsSync(goPeer) && 'no Go toolchain: scripts/dht-peer.mjs builds it',
  },
} as const;

/** What a command brought. */
export interface DhtAnswer {
  readonly value?: string;
  readonly seq?: number;
  readonly taken?: number;
  readonly peers?: readonly string[];
}

/** A node of another program, beside one of ours. It takes the commands of libtorrent_dht.py. */
export class DhtProgram {
  readonly #program: Program;
  #answers = 0;

  private constructor(program: Program) {
    this.#program = program;
  }

  static async start(t: Test, name: keyof typeof DHT_PROGRAMS, beside: PeerAddress): Promise<DhtProgram> {
    const [command = '', ...args] = DHT_PROGRAMS[name].command;
    const program = new Program(t, command, [...args, formatPeerAddress(beside)]);
    await program.printed(/"port": ?\d+/);
    return new DhtProgram(program);
  }

  async ask(...words: readonly (string | number)[]): Promise<DhtAnswer> {
    this.#program.child.stdin?.write(`${words.join(' ')}\n`);
    this.#answers++;
    // The first line names the port.
    const [, line = ''] = await this.#program.printed(new RegExp(`(?:.*\\n){${this.#answers}}(.*)\\n`));
    return JSON.parse(line) as DhtAnswer;
  }
}
