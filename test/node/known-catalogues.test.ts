import t from 'tap';
import { CatalogueReader } from '../../src/chain/catalogue.js';
import { networkParams } from '../../src/native.js';
import { KNOWN_CATALOGUES } from '../../src/node/known-catalogues.js';
import { toHex } from '../../src/units.js';
import { chainTorrents } from '../helpers/chain-torrents.js';
import { sampleDatadir } from '../helpers/sample-datadir.js';

t.test('what is known of mainnet is the catalogue of the embedded blocks', async (t) => {
  const { catalogues, catalogueBytes } = await chainTorrents(t, 'mainnet', await sampleDatadir());
  const newest = catalogues.at(-1);
  const reader = new CatalogueReader(networkParams('mainnet'), Date.now() / 1000);
  reader.push(catalogueBytes);
  const { chain } = reader;
  t.same(KNOWN_CATALOGUES['mainnet'], [
    {
      infoHashV1: toHex(newest?.infoHashV1 ?? new Uint8Array()),
      infoHashV2: toHex(newest?.infoHashV2 ?? new Uint8Array()),
      count: catalogues.length,
      work: toHex(chain.workAt(chain.height())).replace(/^0+/, ''),
    },
  ]);
});

t.test('the list names networks and hashes as they are written', async (t) => {
  for (const [network, known] of Object.entries(KNOWN_CATALOGUES)) {
    t.equal(networkParams(network).name, network);
    for (const { infoHashV1, infoHashV2, count, work } of known) {
      t.match(infoHashV1, /^[0-9a-f]{40}$/);
      t.match(infoHashV2, /^[0-9a-f]{64}$/);
      t.ok(count >= 1);
      t.match(work, /^[1-9a-f][0-9a-f]{0,63}$/);
    }
  }
});
