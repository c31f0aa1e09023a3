/** Reads counts of swarms, as HTTP trackers give them (BEP 48). */
import { type BencodeValue, isDict } from '../../bencode.js';
import type { ScrapeCounts } from './announce.js';
import { parseReplyDict } from './announce-reply.js';

/** Counts by infohash (a character for each byte), or `null` for what is no answer. */
export function parseScrapeReply(body: Uint8Array): Map<string, ScrapeCounts> | null {
  const files = parseReplyDict(body)?.get('files');
  if (!isDict(files)) return null;
  const counts = new Map<string, ScrapeCounts>();
  for (const [name, file] of files) {
    if (name.length !== 20 || !isDict(file)) continue;
    counts.set(name, {
      seeds: count(file.get('complete')),
      leechers: count(file.get('incomplete')),
      completed: count(file.get('downloaded')),
    });
  }
  return counts;
}

function count(value: BencodeValue | undefined): number {
  return typeof value === 'number' && value >= 0 ? value : 0;
}
