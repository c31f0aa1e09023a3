/**
 * The boundary to whoever moves the bytes (DESIGN §4): the native `Reactor` in production, `SimHost` in tests.
 * Both satisfy these interfaces structurally, and `test/sim/link-conformance.ts` runs against both.
 *
 * A *link* is one peer connection, known by a number that is never used again. Commands never block and never
 * fail loudly: what became of them comes back as the link's next event. A command for a link or torrent that is
 * gone does nothing.
 */

/** A torrent's bytes, native. The swarm only asks which pieces may be served. */
export interface PieceStore {
  /** One bit a piece, high bit first (BEP 3): set once the piece is verified and on disk. */
  servable(): Uint8Array;
  /**
   * Pieces whose v2 hash is not known, likewise: the torrent came without its piece layers (magnet links). `needed`: these
   * cannot be judged before it is, and are not fetched. `null` when there are none.
   */
  missingHashes?(): { readonly pieces: Uint8Array; readonly needed: boolean } | null;
}

/** What opens a connection: the handshake and, when the peer supports BEP 10, the extension handshake. */
export interface Hello {
  /** 20 bytes: SHA-1 infohash, or the first 20 bytes of the v2 infohash. */
  readonly infoHash: Uint8Array;
  /** 20 bytes: the other infohash of a hybrid, accepted in the reply as well (BEP 52). */
  readonly otherInfoHash?: Uint8Array;
  /** 20 bytes. */
  readonly peerId: Uint8Array;
  /** Whether the reserved bit of BEP 52 is set. */
  readonly v2: boolean;
  /** Bencoded dictionary, sent as extension message 0. */
  readonly extensionHandshake: Uint8Array;
  /**
   * Super seeding (BEP 16): the peer is told that we have nothing. It hears of, and gets, only the pieces of
   * `sendHave`, on this link: what was shown to others is theirs to pass on.
   */
  readonly hideHave?: boolean;
  /** UDP port of our node in the DHT: sets the reserved bit of BEP 5, and is told to a peer that sets it too. */
  readonly dhtPort?: number;
}

/** How to dial: over TCP and plain when nothing is said. */
export interface How {
  readonly transport?: 'tcp' | 'utp';
  /** The handshake of MSE comes first. */
  readonly encrypted?: boolean;
}

/** Where a torrent's bytes are to be had over HTTP (BEP 19). */
export interface WebSeedPlace {
  /** The file itself, or what the files' paths are put behind. */
  readonly url: string;
  /** For each file as the torrent lists it, padding included: its path, escaped. Empty: the only file is at `url`. */
  readonly paths: readonly string[];
  /** The user named it; then it may be on this machine. */
  readonly asked: boolean;
  /** Whoever named it, it may be on this machine. */
  readonly loopback: boolean;
}

/** A connection from outside whose handshake was read. It waits a bounded time for `accept` or `refuse`. */
export interface Incoming {
  readonly link: number;
  readonly host: string;
  readonly port: number;
  /** 20 bytes, as the peer sent it. */
  readonly infoHash: Uint8Array;
  /** 20 bytes. */
  readonly peerId: Uint8Array;
  /** 8 bytes. */
  readonly reserved: Uint8Array;
  /** What is sent is encrypted. */
  readonly encrypted: boolean;
  readonly transport: 'tcp' | 'utp';
}

/** A BEP 10 message: `id` 0 is the handshake, others are as we announced them in ours. */
export interface ExtensionMessage {
  readonly id: number;
  readonly payload: Uint8Array;
}

/** v2 hashes (BEP 52): of a piece and its neighbours, or of the blocks of one piece. */
export type HashesOf = 'pieces' | 'leaves';

/** What came of a `requestHashes`. */
export interface HashAnswer {
  /** As it was asked for. */
  readonly piece: number;
  readonly of: HashesOf;
  /** `wrong`: made up; the link is closed. */
  readonly outcome: 'good' | 'refused' | 'wrong';
  /** The pieces `[firstPiece, endPiece)` of which something is known now. */
  readonly firstPiece: number;
  readonly endPiece: number;
}

/**
 * What changed on a link since the last batch, coalesced into one record: state, not messages. `finished` and
 * `rejected` are flattened triples `piece, firstBlock, endBlock`: a range asked for by `fetch`, once its last block is
 * settled, or its parts when its blocks fared differently.
 */
export interface LinkEvent {
  readonly link: number;
  readonly torrent: number;
  /** `closed` comes once, last, and also for a connection that never opened. */
  readonly state: 'open' | 'closed';
  readonly host: string;
  readonly port: number;
  readonly closeReason?: string | undefined;
  /** With it: how long a web seed asks to be left alone. */
  readonly retryAfterMs?: number | undefined;
  /** 20 bytes; in the first event only, as `reserved` (8 bytes), `infoHash` (20 bytes) and the next two. */
  readonly peerId?: Uint8Array | undefined;
  readonly reserved?: Uint8Array | undefined;
  readonly infoHash?: Uint8Array | undefined;
  /** What is sent is encrypted. */
  readonly encrypted?: boolean | undefined;
  readonly transport?: 'tcp' | 'utp' | 'http' | undefined;
  readonly peerChoking: boolean;
  readonly peerInterested: boolean;
  readonly haveAll: boolean;
  /** The peer's whole have-map, when it came or when too much of it changed to be listed. */
  readonly bitmap?: Uint8Array | undefined;
  /** Pieces the peer got since the last batch. */
  readonly haves?: readonly number[] | undefined;
  /** Asked-for ranges whose blocks are all in hand. */
  readonly finished?: readonly number[] | undefined;
  /** Asked-for ranges that this peer will not send: rejected by it, or dropped because it choked us. */
  readonly rejected?: readonly number[] | undefined;
  /** Pieces that the peer suggests since the last batch (BEP 6); at most 64 of a link, each once. */
  readonly suggested?: readonly number[] | undefined;
  /** Pieces that may be asked of it although it chokes us, likewise. Not that it has them. */
  readonly allowedFast?: readonly number[] | undefined;
  readonly hashAnswers?: readonly HashAnswer[] | undefined;
  /** UDP port of the peer's node in the DHT (BEP 5), when it was told. */
  readonly dhtPort?: number | undefined;
  /** Blocks asked for or waiting to be asked for. */
  readonly queuedBlocks: number;
  /** Payload of pieces, since the link opened. */
  readonly downloadedBytes: number;
  readonly uploadedBytes: number;
  /** Since the last wanted block came while others are outstanding, else 0. */
  readonly sinceBlockMs: number;
  readonly messages?: readonly ExtensionMessage[] | undefined;
}

/** The judgement of a piece whose blocks were all in hand. A `good` piece is on disk and already servable. */
export interface PieceVerdict {
  readonly torrent: number;
  readonly piece: number;
  /**
   * `bad`: hash mismatch, all its blocks are forgotten. `io`: it could not be written, likewise. `blamed`: it was bad
   * before, its leaves are known now, and so is who of the senders sent bad ones.
   */
  readonly outcome: 'good' | 'bad' | 'io' | 'blamed';
  readonly message?: string | undefined;
  /** Links that sent blocks of it. */
  readonly senders: readonly number[];
  /** Links proven to have sent bad blocks; also in a `good` verdict that follows a bad one. */
  readonly culprits: readonly number[];
}

/** A torrent's files failed: pieces are not servable any more. Said once until its store is rechecked. */
export interface TorrentFault {
  readonly torrent: number;
  /** `changed`: cut short, replaced, or written to by somebody else. `damaged`: the file looks the same. `contradiction`: v1 and v2 hashes disagree. */
  readonly kind: 'disk-full' | 'vanished' | 'changed' | 'denied' | 'damaged' | 'io' | 'contradiction';
  /** The system's words, with the file's path. */
  readonly message: string;
}

/** The part of a native batch that concerns swarms. */
export interface LinkBatch {
  readonly incoming: readonly Incoming[];
  readonly links: readonly LinkEvent[];
  readonly pieces: readonly PieceVerdict[];
  readonly faults: readonly TorrentFault[];
}

/** What links of a class move together at most; 0: no limit. */
export interface Rates {
  readonly uploadBytesPerSecond: number;
  readonly downloadBytesPerSecond: number;
}

/** What the swarm tells the byte mover to do. */
export interface LinkHost {
  /** What incoming connections may do, and whether one dialled encrypted may turn plain behind its handshake. */
  setEncryption(mode: 'off' | 'allowed' | 'preferred' | 'required'): void;
  /** 20 bytes: an encrypted handshake may be for this torrent. It names nothing that is not known. */
  knowInfoHash(infoHash: Uint8Array): void;
  forgetInfoHash(infoHash: Uint8Array): void;
  /** Without a store only the info dictionary can be talked about. */
  addTorrent(store?: PieceStore): number;
  attachStore(torrent: number, store: PieceStore): void;
  /** Closes its links and forgets blocks of unfinished pieces. */
  removeTorrent(torrent: number): void;
  /** Dials; the link's number comes back at once, its fate as an event. */
  connect(torrent: number, host: string, port: number, hello: Hello, how?: How): number;
  /**
   * Begins to fetch from a web seed: its link is one of a peer that has everything (or less, as it turns out), never
   * chokes, wants nothing and hears nothing. `retryAfterMs` may come with its end.
   */
  connectWebSeed(torrent: number, place: WebSeedPlace): number;
  /** Answers an incoming connection; false when it is gone. */
  accept(link: number, torrent: number, hello: Hello): boolean;
  refuse(link: number): void;
  /** `reason` comes back as `closeReason`. */
  close(link: number, reason: string): void;
  setChoked(link: number, choked: boolean): void;
  setInterested(link: number, interested: boolean): void;
  /** The peer queues no more requests than this (`reqq`, BEP 10); more would be dropped. */
  setRequestLimit(link: number, requests: number): void;
  /** A pair of rates that links may share, without limits at first. */
  createRateClass(): number;
  /** All that goes over the wire counts, with the headers of packets. Links that wait learn of a new rate at once. */
  setRateClass(rateClass: number, rates: Rates): void;
  /** Links that are in it go on without its limits. */
  dropRateClass(rateClass: number): void;
  /** The classes that a link is in from now on, at most 4, the narrowest first; in none it has no limits, as at first. */
  setLinkRateClasses(link: number, rateClasses: readonly number[]): void;
  /** The peer lost the piece (BEP 54): its bitmap comes anew, without it, until it is announced again. */
  forgetHave(link: number, piece: number): void;
  /** Asks for blocks `[firstBlock, endBlock)`; those in hand are skipped. False: link gone, or no memory now. */
  fetch(link: number, piece: number, firstBlock: number, endBlock: number): boolean;
  cancel(link: number, piece: number, firstBlock: number, endBlock: number): void;
  /** `id` as the peer announced it. False when the queue is full (the link is closed) or the link is gone. */
  sendExtension(link: number, id: number, payload: Uint8Array): boolean;
  /**
   * Asks for v2 hashes around a piece, or for those of its blocks. Returns the end of the pieces that they are of; 0:
   * they are known or cannot be had, too much is asked of this peer already, or the link is gone.
   */
  requestHashes(link: number, piece: number, of: HashesOf): number;
  /** HAVE to one peer, which may ask for the piece from now on although its link hides what we have. */
  sendHave(link: number, piece: number): void;
  /** BEP 6; nothing is sent to a peer without the fast extension. */
  suggest(link: number, piece: number): void;
  /** Gives the peer these pieces, each once, although we choke it (BEP 6); at most 64. */
  allowFast(link: number, pieces: readonly number[]): void;
  /** HAVE to all open links of the torrent, except to those that hide what we have. */
  announceHave(torrent: number, piece: number): void;
}
