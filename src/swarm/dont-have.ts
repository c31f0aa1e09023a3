/** Pieces that were announced and are lost (BEP 54), ours and theirs. */
import { DONT_HAVE_BYTES, encodeDontHave, LT_DONTHAVE, parseDontHave } from '../wire/dont-have.js';
import { BAD_MESSAGE, type Extension, type Offence, type Partner } from './extensions.js';
import type { LinkHost } from './link-host.js';

export class DontHave implements Extension {
  readonly name = LT_DONTHAVE;
  readonly maxBytes = DONT_HAVE_BYTES;
  readonly #host: LinkHost;

  constructor(host: LinkHost) {
    this.#host = host;
  }

  onMessage({ link }: Partner, payload: Uint8Array): Offence | null {
    const piece = parseDontHave(payload);
    if (piece === null) return BAD_MESSAGE;
    // What it has is known to whoever moves the bytes: from there it comes back, as all that a peer has.
    this.#host.forgetHave(link, piece);
    return null;
  }

  /** Pieces that we announced cannot be read any more. */
  tell(partners: Iterable<Partner>, pieces: readonly number[]): void {
    const messages = pieces.map(encodeDontHave);
    for (const partner of partners) for (const message of messages) partner.send(LT_DONTHAVE, message);
  }
}
