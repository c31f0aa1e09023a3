/** A node that has a catalogue and is connected: what jobs over the torrents of the chain begin with. */
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { privacyOf } from '../connector/privacy.js';
import { type Network, networkParams } from '../native.js';
import { chainWorkFloor } from './catalogue.js';
import { CatalogueChoice, type CatalogueWish } from './catalogue-choice.js';
import { openPeerNode, type PeerNodeChoice } from './open-peer-node.js';
import type { PeerNode } from './peer-node.js';
import type { Report } from './report.js';
import { StateFolder } from './state.js';

export interface CatalogueClientOptions extends PeerNodeChoice, CatalogueWish {
  readonly network: string;
  readonly minChainWork?: string | undefined;
}

export class CatalogueClient {
  readonly network: Network;
  readonly peerNode: PeerNode;
  readonly catalogue: CatalogueChoice;
  readonly state: StateFolder;

  private constructor(network: Network, peerNode: PeerNode, catalogue: CatalogueChoice, state: StateFolder) {
    this.network = network;
    this.peerNode = peerNode;
    this.catalogue = catalogue;
    this.state = state;
  }

  /**
   * Takes the state folder of `subject` (a folder, made when missing), listens, and finds the catalogue. `avoid`: see
   * `CatalogueNeeds`.
   * @throws BlockswarmError as `StateFolder.open`, `PeerNode` and `searchCatalogue`
   */
  static async open(
    options: CatalogueClientOptions,
    subject: string,
    signal: AbortSignal,
    report: Report,
    avoid: Set<string> = new Set(),
  ): Promise<CatalogueClient> {
    const network = networkParams(options.network);
    const floor = chainWorkFloor(network, options.minChainWork, report);
    const privacy = privacyOf(options, randomBytes);
    await mkdir(subject, { recursive: true });
    const state = StateFolder.open(options.stateDir, subject);
    try {
      const folder = join(state.path, 'catalogues');
      await mkdir(folder, { recursive: true });
      const peerNode = await openPeerNode({
        choice: options,
        privacy,
        folders: [state.path],
        ...{ signal, report },
      });
      try {
        const statePath = state.path;
        const needs = { network, floor, folder, statePath, peerNode, avoid, report, signal };
        return new CatalogueClient(network, peerNode, await CatalogueChoice.search(options, needs), state);
      } catch (error) {
        await peerNode.close();
        throw error;
      }
    } catch (error) {
      state.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.peerNode.close();
    this.state.close();
  }
}
