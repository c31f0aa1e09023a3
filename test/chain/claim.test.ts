import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import t from 'tap';
import {
  contradiction,
  isCatalogueLength,
  isWorthTrying,
  rendezvousInfoHash,
} from '../../src/chain/claim.js';
import { HeaderChain, networkParams } from '../../src/native.js';
import { toHex } from '../../src/units.js';
import { recordOffsets, samplePath } from '../helpers/engine.js';

const mainnet = networkParams('mainnet');
const sample = readFileSync(samplePath);
const headers = Buffer.concat(
  recordOffsets(sample)
    .slice(0, -1)
    .map((at) => sample.subarray(at + 8, at + 88)),
);
const nowSeconds = 1_800_000_000;
/** Of one block of least difficulty. */
const one = 0x100010001n;

const bytes = (work: bigint) => new Uint8Array(Buffer.from(work.toString(16).padStart(64, '0'), 'hex'));

const claim = (count: number, work: bigint, lengthBytes?: number) => ({
  infoHashV1: new Uint8Array(20),
  infoHashV2: new Uint8Array(32),
  ...(lengthBytes !== undefined && { lengthBytes }),
  count,
  work: bytes(work),
});

function chainOf(count: number): HeaderChain {
  const chain = new HeaderChain('mainnet');
  chain.append(headers.subarray(0, count * 80), nowSeconds);
  return chain;
}

t.test('a network’s rendezvous is the hash of its genesis block behind some words', async (t) => {
  const text = Buffer.concat([Buffer.from('blockswarm1 catalogue '), mainnet.genesisHash]);
  t.equal(toHex(rendezvousInfoHash(mainnet)), createHash('sha1').update(text).digest('hex'));
  const networks = ['mainnet', 'testnet3', 'testnet4', 'signet', 'regtest'].map(networkParams);
  t.equal(new Set(networks.map((network) => toHex(rendezvousInfoHash(network)))).size, 5);
});

t.test('what cannot be, or is not enough, is not tried', async (t) => {
  const least = new Uint8Array(32);
  const most = new Uint8Array(32).fill(0xff);
  const length = 12 + 3 * 80 * 2016;
  t.ok(isWorthTrying(claim(3, 3n * 2016n * one, length), mainnet, least));
  t.ok(isWorthTrying(claim(3, 3n * 2016n * one), mainnet, least), 'an item of the DHT says no length');
  t.notOk(isWorthTrying(claim(3, 3n * 2016n * one, length), mainnet, most), 'under the floor');
  t.notOk(isWorthTrying(claim(3, 100n, length), mainnet, least), 'each header has some work');
  t.notOk(isWorthTrying(claim(99_999, 2n ** 255n, length), mainnet, least), 'too short for so many');
  t.notOk(isWorthTrying(claim(1, 2n ** 255n, Number.MAX_SAFE_INTEGER), mainnet, least), 'too long for one');
  t.notOk(isCatalogueLength(12, 0, mainnet));
});

t.test('headers contradict a claim as soon as they can', async (t) => {
  const whole = 6n * 2016n * one;
  const chain = chainOf(2016);
  t.equal(contradiction(claim(6, whole), chain, mainnet), null);
  t.match(contradiction(claim(6, 2016n * one - 1n), chain, mainnet), /have more/);
  t.equal(contradiction(claim(6, whole), chainOf(6 * 2016), mainnet), null, 'and not when it is true');
  t.match(contradiction(claim(6, whole + 1n), chainOf(6 * 2016), mainnet), /have less/);
  t.match(contradiction(claim(1, 2016n * one), chainOf(2017), mainnet), /have more/);
  // At most four times harder in each period: six segments cannot come to what no six segments have.
  const bound = [4n, 16n, 64n, 256n, 1024n].reduce((sum, factor) => sum + factor * 2016n * one, 2016n * one);
  t.equal(contradiction(claim(6, bound), chain, mainnet), null);
  t.match(contradiction(claim(6, bound + 1n), chain, mainnet), /cannot come to that/);
  t.match(
    contradiction(claim(6, 2n ** 255n), chainOf(1), mainnet),
    /cannot come to that/,
    'also after one header',
  );
  t.equal(contradiction(claim(6, 2n ** 255n), new HeaderChain('mainnet'), mainnet), null);
});
