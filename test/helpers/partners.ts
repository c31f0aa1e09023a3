/** Peers of a torrent without a network: what is sent to each is kept, what each says is put in by hand. */
import { type Encodable, encode } from '../../src/bencode.js';
import type { PeerAddress } from '../../src/connector.js';
import { type Extension, Extensions, type Offence, type Partner } from '../../src/swarm/extensions.js';
import type { LinkHost } from '../../src/swarm/link-host.js';
import { Peer } from '../../src/swarm/peer.js';
import { PeerBook } from '../../src/swarm/peer-book.js';
import { UploadLedger } from '../../src/swarm/upload-ledger.js';

export interface Sent {
  readonly link: number;
  readonly id: number;
  readonly payload: Uint8Array;
}

/** The ids under which every peer wants its messages. */
export const THEIR_IDS = new Map([
  ['ut_metadata', 11],
  ['ut_pex', 12],
  ['ut_holepunch', 13],
  ['lt_donthave', 14],
  ['upload_only', 15],
]);

export class Partners {
  readonly sent: Sent[] = [];
  readonly byLink = new Map<number, Peer>();
  readonly extensions: Extensions;
  readonly host: LinkHost;
  readonly #names: string[];
  readonly #book = new PeerBook({ random: () => 0.5 });
  readonly #ledger = new UploadLedger();
  #nextLink = 1;

  constructor(make: (partners: Partners) => readonly Extension[]) {
    const nothing = () => {};
    const sent = {
      sendExtension: (link: number, id: number, payload: Uint8Array) => {
        this.sent.push({ link, id, payload });
        return true;
      },
    };
    this.host = new Proxy(sent as unknown as LinkHost, {
      get: (host, name) => Reflect.get(host, name) ?? nothing,
    });
    const extensions = make(this);
    this.#names = extensions.map(({ name }) => name);
    this.extensions = new Extensions({
      host: this.host,
      info: { client: 'test', listenPort: () => 6881, anonymous: false, requestQueue: 500 },
      extensions,
      listensAt: nothing,
    });
  }

  /** A connected peer that listens at an address, and has not said anything yet. */
  connect(address: PeerAddress, options: { incoming?: boolean } = {}): Peer {
    const link = this.#nextLink++;
    const known = this.#book.add(address, 'dht', 0);
    const account = this.#ledger.open(address.host);
    const incoming = options.incoming ?? false;
    const peer = new Peer(this.host, { link, address, incoming, known, account, meter: null, nowMs: 0 });
    peer.isOpen = true;
    this.byLink.set(link, peer);
    return peer;
  }

  /** One that sent its handshake: `without` are the extensions that it does not speak. */
  meet(address: PeerAddress, nowMs = 0, options: { without?: readonly string[] } = {}): Partner {
    const peer = this.connect(address);
    const m = new Map([...THEIR_IDS].filter(([name]) => !options.without?.includes(name)));
    this.say(peer, 0, encode(new Map([['m', m]])), nowMs);
    const partner = this.extensions.partner(peer.link);
    if (!partner) throw new Error('the handshake was not read');
    return partner;
  }

  say(peer: Peer, id: number, payload: Uint8Array, nowMs = 0): Offence | null {
    return this.extensions.onMessages(peer, [{ id, payload }], nowMs);
  }

  handshake(peer: Peer, fields: readonly [string, Encodable][], nowMs = 0): Offence | null {
    return this.say(peer, 0, encode(new Map(fields)), nowMs);
  }

  /** Says something by an extension, under the id that we gave it. */
  tell({ peer }: Partner, name: string, payload: Uint8Array, nowMs = 0): Offence | null {
    return this.say(peer, this.#names.indexOf(name) + 1, payload, nowMs);
  }

  leave({ peer }: Partner, nowMs = 0): void {
    this.byLink.delete(peer.link);
    this.extensions.ended(peer, nowMs);
  }

  /** What was sent by an extension since the last call. */
  taken(name: string): Sent[] {
    const id = THEIR_IDS.get(name);
    const taken = this.sent.filter((each) => each.id === id);
    this.sent.length = 0;
    return taken;
  }
}
