/** The extensions of one torrent: which are spoken, what they need of the swarm, and what the swarm tells through them. */
import type { DialPolicy, PeerAddress } from '../connector.js';
import { UT_HOLEPUNCH } from '../wire/holepunch.js';
import { UT_PEX } from '../wire/pex.js';
import { DontHave } from './dont-have.js';
import { type Extension, type ExtensionInfo, Extensions } from './extensions.js';
import { Holepunch } from './holepunch.js';
import type { LinkHost } from './link-host.js';
import { MetadataExchange } from './metadata-exchange.js';
import type { OwnAddress } from './own-address.js';
import { PeerExchange } from './peer-exchange.js';
import type { Peers } from './peers.js';
import { UploadOnly } from './upload-only.js';

/** What a private torrent does without (BEP 27): peers come from its trackers only. */
const PUBLIC_ONLY = [UT_PEX, UT_HOLEPUNCH];

export interface SwarmExtensionsOptions {
  readonly host: LinkHost;
  readonly info: ExtensionInfo;
  readonly dialPolicy: Pick<DialPolicy, 'mayDial'>;
  readonly peers: Peers;
  readonly ownAddress: OwnAddress;
  readonly infoHashV1: Uint8Array | null;
  readonly infoHashV2: Uint8Array | null;
  readonly infoBytes: Uint8Array | null;
  /** Spoken in place of the exchange of metadata, where the infohash is that of no torrent. */
  readonly meeting: Extension | null;
  readonly isPrivate: boolean;
  readonly pex: boolean;
  /** The info dictionary came. */
  foundMetadata(infoBytes: Uint8Array): void;
  /** There may be somebody to dial. */
  foundPeers(): void;
  dial(address: PeerAddress, nowMs: number): void;
}

export class SwarmExtensions extends Extensions {
  readonly #dontHave: DontHave;
  readonly #uploadOnly: UploadOnly;
  readonly #holepunch: Holepunch;

  constructor(options: SwarmExtensionsOptions) {
    const { host, info, peers, dialPolicy } = options;
    const dontHave = new DontHave(host);
    const uploadOnly = new UploadOnly();
    const holepunch = new Holepunch({ dialPolicy, partners: () => this.partners, dial: options.dial });
    const pex = new PeerExchange({
      peers: peers.byLink,
      dialPolicy,
      learnt: ({ address, flags }, from, nowMs) => {
        const known = peers.advised(address, flags, nowMs);
        if (known?.source === 'pex' && flags.seed) known.seed = true;
        if (known && flags.holepunch) holepunch.learnt(address, from);
        options.foundPeers();
      },
    });
    super({
      host,
      info,
      seenAs: ({ address }, yourIp) => options.ownAddress.heard(address.host, yourIp),
      listensAt: (peer, port, nowMs) => peers.listensAt(peer, port, nowMs),
      extensions: [
        options.meeting ?? new MetadataExchange({ ...options, found: options.foundMetadata }),
        ...(options.pex ? [pex] : []),
        holepunch,
        dontHave,
        uploadOnly,
      ],
    });
    this.#dontHave = dontHave;
    this.#uploadOnly = uploadOnly;
    this.#holepunch = holepunch;
    if (options.isPrivate) this.withdraw(PUBLIC_ONLY);
  }

  /** The torrent turned out to be private. */
  becomePrivate(): void {
    this.withdraw(PUBLIC_ONLY);
  }

  tellLost(pieces: readonly number[]): void {
    this.#dontHave.tell(this.partners, pieces);
  }

  tellUploadOnly(uploadOnly: boolean): void {
    this.#uploadOnly.tell(this.partners, uploadOnly);
  }

  dialFailed(address: PeerAddress, nowMs: number): void {
    this.#holepunch.dialFailed(address, nowMs);
  }
}
