/** Test vectors of BEP 44. The private key that they were signed with is in its expanded form: it cannot sign here. */
import { encode } from '../../src/bencode.js';
import type { MutableItem } from '../../src/discovery/dht-item.js';

export function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

export const HELLO = encode('Hello World!');

const publicKey = hex('77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548');

export const MUTABLE: MutableItem = {
  value: HELLO,
  seq: 1,
  publicKey,
  signature: hex(
    '305ac8aeb6c9c151fa120f120ea2cfb923564e11552d06a5d856091e5e853cff1260d3f39e4999684aa92eb73ffd136e6f4f3ecbfda0ce53a1608ecd7ae21f01',
  ),
};

export const SALTED: MutableItem = {
  ...MUTABLE,
  salt: Buffer.from('foobar'),
  signature: hex(
    '6834284b6b24c3204eb2fea824d82f88883a3d95e8b4a21b8c0ded553d17d17ddf9a8a7104b1258f30bed3787e6cb896fca78c58f8e03b5f18f14951a87d9a08',
  ),
};
