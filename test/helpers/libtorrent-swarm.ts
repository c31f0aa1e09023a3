/** libtorrent as one peer of several in a swarm (see libtorrent_swarm.py). */
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { python } from './libtorrent.js';
import { Program } from './program.js';

const script = fileURLToPath(new URL('libtorrent_swarm.py', import.meta.url));

export interface LibtorrentPeerOptions {
  /** Its content's folder: what is there is checked, what is missing is fetched. */
  readonly folder: string;
  readonly torrent: string;
  readonly superSeeding?: boolean;
  /** It takes no more than 200 kB a second. */
  readonly slow?: boolean;
  /** It has a node in the DHT, on the same port, that knows nobody. */
  readonly dht?: boolean;
  /** `host:port` of whom it dials. */
  readonly peers?: readonly string[];
}

export class LibtorrentPeer {
  readonly address: { readonly host: string; readonly port: number };
  readonly #program: Program;

  private constructor(program: Program, port: number) {
    this.#program = program;
    this.address = { host: '127.0.0.1', port };
  }

  static async start(t: Test, options: LibtorrentPeerOptions): Promise<LibtorrentPeer> {
    const { folder, torrent, superSeeding, slow, dht, peers = [] } = options;
    const args = [
      '-BW',
      'ignore',
      script,
      ...(slow ? ['--slow'] : []),
      ...(dht ? ['--dht'] : []),
      folder,
      torrent,
      superSeeding ? 'super' : 'plain',
      ...peers,
    ];
    const program = new Program(t, python, args);
    const [, port] = await program.printed(/"port": (\d+)/);
    return new LibtorrentPeer(program, Number(port));
  }

  get text(): string {
    return `${this.address.host}:${this.address.port}`;
  }

  /** Resolves when it has everything. */
  async complete(): Promise<void> {
    await this.#program.printed(/"seeding": true/);
  }

  /** Resolves when it is connected to a port. */
  async metPort(port: number): Promise<void> {
    await this.#program.printed(new RegExp(`"peers": \\[[^\\]]*:${port}"`));
  }

  /** Resolves when its only peer has, as it was told, so many pieces, and then so many. */
  async seesPieces(...counts: readonly number[]): Promise<void> {
    await this.#program.printed(
      new RegExp(counts.map((count) => `"theirPieces": \\[${count}\\]`).join('[^]*')),
    );
  }

  /** Resolves when its node in the DHT knows another one. */
  async knowsDhtNode(): Promise<void> {
    await this.#program.printed(/"dhtNodes": [1-9]/);
  }

  get uploadedBytes(): number {
    return Number(
      this.#program.stdout
        .match(/"uploadedBytes": (\d+)/g)
        ?.at(-1)
        ?.match(/\d+/)?.[0] ?? 0,
    );
  }
}
