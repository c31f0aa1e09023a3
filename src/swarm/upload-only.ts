/** Who wants nothing, and that we do not (BEP 21): seeds, and partial seeds that have all that they selected. */
import { encodeUploadOnly, parseUploadOnly, UPLOAD_ONLY, UPLOAD_ONLY_BYTES } from '../wire/upload-only.js';
import { BAD_MESSAGE, type Extension, type Offence, type Partner } from './extensions.js';

export class UploadOnly implements Extension {
  readonly name = UPLOAD_ONLY;
  readonly maxBytes = UPLOAD_ONLY_BYTES;

  onMessage({ peer }: Partner, payload: Uint8Array): Offence | null {
    const uploadOnly = parseUploadOnly(payload);
    if (uploadOnly === null) return BAD_MESSAGE;
    peer.uploadOnly = uploadOnly;
    return null;
  }

  /** Ours changed since the handshakes. */
  tell(partners: Iterable<Partner>, uploadOnly: boolean): void {
    for (const partner of partners) partner.send(UPLOAD_ONLY, encodeUploadOnly(uploadOnly));
  }
}
