/**
 * Catalogues that the authors know, by network: a place to begin with where nobody answers at the rendezvous. None is
 * trusted: each is read and judged like any other, and the one with the most work is used.
 *
 * To add one: on two machines whose nodes validated the chain themselves, `blockswarm catalogue make --datadir D --out F
 * --segments N` with the same N; both files must be the same byte for byte. Then `blockswarm catalogue show F --json`
 * says `chainWork`, and `make` the infohashes. Keep at most the newest of each network, seeded by somebody.
 * `test/node/known-catalogues.test.ts` makes the one of the embedded blocks again.
 */

export interface KnownCatalogue {
  /** Hex, 40 digits. */
  readonly infoHashV1: string;
  /** Hex, 64 digits. */
  readonly infoHashV2: string;
  /** Segments. */
  readonly count: number;
  /** Hex, big-endian. */
  readonly work: string;
}

/** Mainnet's is that of the embedded blocks, which counts only where the floor of the chain's work was lowered. */
export const KNOWN_CATALOGUES: Readonly<Record<string, readonly KnownCatalogue[]>> = {
  mainnet: [
    {
      infoHashV1: '7a65c119891e1192f12a9932db88b746bf33a0db',
      infoHashV2: 'b71a0c6ae0e82ab0bbf2a3c8f3f944676ed124223c45da196fd34f8ac6f8c703',
      count: 6,
      work: '2f402f402f40',
    },
  ],
};
