/** With npm's bittorrent-dht over UDP: peers and items (BEP 5, BEP 44), either way. */
import { createPublicKey, verify } from 'node:crypto';
import { Client } from 'bittorrent-dht';
import t, { type Test } from 'tap';
import { encode } from '../../src/bencode.js';
import type { PeerAddress } from '../../src/connector.js';
import { itemTarget, mutableTarget, publicKeyOf, signItem } from '../../src/discovery/dht-item.js';
import { all } from '../helpers/datagram-switch.js';
import { udpDht } from '../helpers/udp-dht.js';

const HASH = Buffer.alloc(20, 0xab);
const SEED = new Uint8Array(32).fill(9);

async function start(t: Test, bootstrap: PeerAddress): Promise<{ client: Client; address: PeerAddress }> {
  const client = new Client({ bootstrap: [`${bootstrap.host}:${bootstrap.port}`], verify: isSigned });
  await new Promise<void>((resolve) => client.listen(0, '127.0.0.1', resolve));
  t.teardown(() => new Promise<void>((resolve) => client.destroy(resolve)));
  return { client, address: { host: '127.0.0.1', port: client.address().port } };
}

function isSigned(signature: Buffer, message: Buffer, publicKey: Buffer): boolean {
  const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), publicKey]);
  return verify(null, message, createPublicKey({ key: der, format: 'der', type: 'spki' }), signature);
}

t.test('either finds the peers that the other announced', async (t) => {
  const { address: hub } = udpDht(t, []);
  const { client } = await start(t, hub);
  const { dht } = udpDht(t, [hub]);
  await new Promise<void>((resolve) => client.announce(HASH, 4444, () => resolve()));
  t.same(await all(dht.lookup(HASH)), [{ host: '127.0.0.1', port: 4444 }]);
  const other = Buffer.alloc(20, 0xcd);
  t.ok((await dht.announce(other, 5555)) >= 1);
  const found: number[] = [];
  client.on('peer', ({ port }: PeerAddress) => found.push(port));
  await new Promise<void>((resolve) => client.lookup(other, () => resolve()));
  t.ok(found.includes(5555));
});

t.test('either finds the items that the other put', async (t) => {
  const { address: hub } = udpDht(t, []);
  const { client } = await start(t, hub);
  const { dht } = udpDht(t, [hub]);
  const text = 'a value of ours';
  const hash = await new Promise<Buffer>((resolve) =>
    client.put({ v: Buffer.from(text) }, (_error, key) => resolve(key)),
  );
  t.same(await dht.getItem(hash), { value: encode(text) });
  const salt = Buffer.from('salt');
  const item = signItem({ value: encode('signed'), seq: 4, salt }, SEED);
  t.ok((await dht.putItem(item)) >= 1);
  const target = Buffer.from(mutableTarget(publicKeyOf(SEED), salt));
  t.same(Buffer.from(itemTarget(item)), target);
  const got = await new Promise((resolve) => client.get(target, { salt }, (_error, found) => resolve(found)));
  t.match(got, { v: Buffer.from('signed'), seq: 4 });
});
