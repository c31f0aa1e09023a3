/** What about coins does not add up, as JSON and as text. */
import type { CoinCulprit } from '../native.js';
import { displayHash } from '../units.js';

export function culpritJson(culprit: CoinCulprit) {
  const { segment, height, txid, index, spenderTxid, spenderInput, cause, createdHeight } = culprit;
  return {
    segment,
    height,
    cause,
    ...(txid && { coin: { txid: displayHash(txid), index } }),
    ...(spenderTxid && { spentBy: { txid: displayHash(spenderTxid), input: spenderInput } }),
    ...(createdHeight !== undefined && { createdHeight }),
    ...(culprit.firstSpentHeight !== undefined && { firstSpentHeight: culprit.firstSpentHeight }),
    ...(culprit.fields && { fields: culprit.fields }),
    text: culprit.text,
  };
}

export function culpritLines(culprits: readonly CoinCulprit[]): string[] {
  return culprits.map(({ text }) => `  ${text}`);
}
