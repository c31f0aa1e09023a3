/** What a connection of a torrent begins with: which of its names is said, and by which a peer is answered (BEP 52). */
import type { PeerAddress } from '../connector.js';
import type { Hello, Incoming } from './link-host.js';
import type { KnownPeer } from './peer-book.js';

export interface GreetingsOptions {
  /** 20 bytes. */
  readonly infoHashV1: Uint8Array | null;
  /** 32 bytes; at least one of the two is there. */
  readonly infoHashV2: Uint8Array | null;
  readonly peerId: Uint8Array;
  readonly extensionHandshake: (remote: PeerAddress) => Uint8Array;
  /** Whether a newcomer is told that we have nothing (BEP 16). */
  readonly hidesHave: () => boolean;
  /** UDP port of our node in the DHT; null: none that peers are told of. */
  readonly dhtPort: () => number | null;
}

export class Greetings {
  readonly #options: GreetingsOptions;

  /** @throws TypeError, RangeError */
  constructor(options: GreetingsOptions) {
    const { infoHashV1, infoHashV2 } = options;
    if (infoHashV1 === null && infoHashV2 === null)
      throw new TypeError('"infoHashV1" or "infoHashV2" is needed');
    checkLength('infoHashV1', infoHashV1, 20);
    checkLength('infoHashV2', infoHashV2, 32);
    this.#options = options;
  }

  /** To whom we dial. */
  dialled(known: KnownPeer): Hello {
    const { infoHashV1, infoHashV2 } = this.#options;
    // Of a hybrid's two names the other one is tried next: v2-only peers know but that one.
    const useV2 = infoHashV1 === null || (infoHashV2 !== null && known.failures % 2 === 1);
    return this.#hello(useV2, known.address);
  }

  /** To whom dialled us. */
  answer(incoming: Incoming): Hello {
    const { infoHashV1, infoHashV2 } = this.#options;
    // Who speaks v2 as well is answered by that name (BEP 52, "upgrade").
    const upgrades = infoHashV2 !== null && speaksV2(incoming.reserved);
    const asV2 = infoHashV1 === null || upgrades || Buffer.compare(incoming.infoHash, infoHashV1) !== 0;
    return this.#hello(asV2, incoming);
  }

  #hello(asV2: boolean, remote: PeerAddress): Hello {
    const { infoHashV1: v1, infoHashV2, peerId, extensionHandshake, hidesHave } = this.#options;
    const v2 = infoHashV2?.subarray(0, 20) ?? null;
    const [infoHash, other] = asV2 ? [v2, v1] : [v1, v2];
    if (infoHash === null) throw new TypeError('"infoHashV1" or "infoHashV2" is needed');
    const dhtPort = this.#options.dhtPort();
    return {
      infoHash,
      ...(other === null ? {} : { otherInfoHash: other }),
      peerId,
      v2: v2 !== null,
      extensionHandshake: extensionHandshake(remote),
      ...(hidesHave() ? { hideHave: true } : {}),
      ...(dhtPort === null ? {} : { dhtPort }),
    };
  }
}

/** Whether the reserved bytes have the bit of BEP 52. */
export function speaksV2(reserved: Uint8Array | undefined): boolean {
  return ((reserved?.[7] ?? 0) & 0x10) !== 0;
}

function checkLength(name: string, bytes: Uint8Array | null, length: number): void {
  if (bytes !== null && bytes.length !== length) {
    throw new RangeError(`"${name}" expected ${length} bytes, got ${bytes.length}`);
  }
}
