// transmission-daemon as a checker of data, and as a seeder: started for one torrent, told to check it, asked until it
// has; then told to serve it.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuSeconds, freePort, peakRssMiB, resetPeakRss, start } from './programs.mjs';

const pollMs = 5;
/** Of the RPC's `status`. */
const stopped = 0;
const seeding = 6;
/** Peers, and of those the ones that are served. */
const manyPeers = 2000;

export class Transmission {
  #program;
  #peerPort = 0;
  #url;
  #session = '';

  /** Starts a daemon that speaks to nobody, with a torrent that is not started. `home` is an empty folder. */
  static async start(command, home, torrent, folder) {
    const [rpcPort, peerPort] = [await freePort(), await freePort()];
    const settings = {
      'bind-address-ipv4': '127.0.0.1',
      'dht-enabled': false,
      'lpd-enabled': false,
      encryption: 0,
      'peer-limit-global': manyPeers,
      'peer-limit-per-torrent': manyPeers,
      'peer-port': peerPort,
      'pex-enabled': false,
      'port-forwarding-enabled': false,
      'rename-partial-files': false,
      'rpc-bind-address': '127.0.0.1',
      'rpc-port': rpcPort,
      'rpc-whitelist-enabled': false,
      // By default it sleeps for a tenth of each second while it checks.
      'sleep-per-seconds-during-verify': 0,
      'upload-slots-per-torrent': manyPeers,
      'utp-enabled': false,
    };
    writeFileSync(join(home, 'settings.json'), JSON.stringify(settings));
    const this_ = new Transmission();
    this_.#peerPort = peerPort;
    this_.#url = `http://127.0.0.1:${rpcPort}/transmission/rpc`;
    this_.#program = await start(command, ['--foreground', '--config-dir', home], /Listening for RPC/);
    await this_.#call('torrent-add', {
      metainfo: readFileSync(torrent).toString('base64'),
      'download-dir': folder,
      paused: true,
    });
    await this_.#checked();
    return this_;
  }

  /** Checks all data: what it took, and the pieces that are wrong. */
  async verify() {
    const { pid } = this.#program;
    resetPeakRss(pid);
    const cpu = cpuSeconds(pid);
    const begun = performance.now();
    await this.#call('torrent-verify', { ids: [1] });
    const { pieces, pieceCount } = await this.#checked();
    const seconds = (performance.now() - begun) / 1000;
    const have = Buffer.from(pieces, 'base64');
    const wrongPieces = Array.from({ length: pieceCount }, (_, piece) => piece).filter(
      (piece) => !((have[piece >> 3] << (piece & 7)) & 0x80),
    );
    return { seconds, cpuSeconds: cpuSeconds(pid) - cpu, peakMiB: peakRssMiB(pid), wrongPieces };
  }

  get pid() {
    return this.#program.pid;
  }

  get peerPort() {
    return this.#peerPort;
  }

  /** Serves what was checked. */
  async seed() {
    await this.#call('torrent-start-now', { ids: [1] });
    for (;;) {
      const { torrents } = await this.#call('torrent-get', { ids: [1], fields: ['status'] });
      if (torrents[0]?.status === seeding) return;
      await sleep(pollMs);
    }
  }

  async close() {
    await this.#program.stop();
  }

  async #checked() {
    for (;;) {
      const fields = ['status', 'pieces', 'pieceCount'];
      const { torrents } = await this.#call('torrent-get', { ids: [1], fields });
      if (torrents[0]?.status === stopped) return torrents[0];
      await sleep(pollMs);
    }
  }

  async #call(method, args) {
    const response = await fetch(this.#url, {
      method: 'POST',
      headers: { 'X-Transmission-Session-Id': this.#session },
      body: JSON.stringify({ method, arguments: args }),
    });
    if (response.status === 409) {
      this.#session = response.headers.get('X-Transmission-Session-Id');
      return this.#call(method, args);
    }
    const { result, arguments: answer } = await response.json();
    if (result !== 'success') throw new Error(`transmission: ${method}: ${result}`);
    return answer;
  }
}
